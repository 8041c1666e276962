"""Changes to data sets. A version, once made, never changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from apps.core import audit, lineage, manifests, objects
from apps.core.errors import Invalid
from apps.core.events import publish
from apps.core.policy import require
from apps.datasets.images import Images, image_files
from apps.datasets.models import Dataset, DatasetVersion
from apps.datasets.policy import may_add_version, may_create_dataset, may_edit
from apps.datasets.services import splits
from apps.datasets.tables import Summariser, Summary, table_files

if TYPE_CHECKING:
    from apps.accounts.models import Team, User


@transaction.atomic
def create_dataset(
    slug: str,
    *,
    team: Team,
    by: User,
    name: str = "",
    description: str = "",
    visibility: str = Dataset.Visibility.TEAM,
) -> Dataset:
    """Name a new data set of a team; its content comes with `create_version`. Raises Invalid, NotAllowed."""
    require(may_create_dataset(by, team))
    _check(slug, name or slug, visibility)
    try:
        with transaction.atomic():
            dataset = Dataset.objects.create(
                slug=slug,
                team=team,
                name=(name or slug).strip(),
                description=description.strip(),
                visibility=visibility,
                created_by=by,
            )
    except IntegrityError as error:
        raise Invalid(
            _("The short name “%(slug)s” is taken. Choose another one.") % {"slug": slug},
            fields={"slug": _("This one is taken: choose another.")},
        ) from error
    audit.record("datasets.dataset.created", dataset, by=by, slug=slug, team=team.slug)
    return dataset


@transaction.atomic
def edit_dataset(
    dataset: Dataset,
    *,
    by: User,
    name: str | None = None,
    description: str | None = None,
    visibility: str | None = None,
) -> Dataset:
    """Change what is said about a data set, as far as it is given; its versions stay as they are.

    Raises Invalid, NotAllowed.
    """
    require(may_edit(by, dataset))
    given = {"name": name, "description": description, "visibility": visibility}
    facts = {field: text.strip() for field, text in given.items() if text is not None}
    _check(dataset.slug, facts.get("name", dataset.name), facts.get("visibility", dataset.visibility))
    for field, text in facts.items():
        setattr(dataset, field, text)
    if facts:
        dataset.save(update_fields=list(facts))
        audit.record(
            "datasets.dataset.edited", dataset, by=by, name=dataset.name, visibility=dataset.visibility
        )
    return dataset


def create_version(
    dataset: Dataset,
    files: Mapping[str, str],
    *,
    by: User,
    note: str = "",
    parent: DatasetVersion | None = None,
    sources: Iterable[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> DatasetVersion:
    """Record a new immutable version. `files` is {path: sha256} of objects that are stored already.

    CSV, JSONL and Parquet files are read once for schema, row count and statistics, images for their sizes. `sources`
    are URNs of what it was made from, for the lineage; `facts` are kept under "facts" in the statistics. Files that
    are named as parts (train/…, test.csv) are its split. Raises Invalid naming the file and line that cannot be read.
    """
    require(may_add_version(by, dataset))
    if parent is not None and parent.dataset_id != dataset.pk:
        raise Invalid(_("The parent %(parent)s belongs to another data set.") % {"parent": parent})
    manifest = manifests.build(files)
    summary = _summarise(manifest)
    images = _look_at_images(manifest)
    statistics = {
        "columns": summary.statistics,
        **({"images": images} if images else {}),
        **({"facts": dict(facts)} if facts else {}),
    }
    with transaction.atomic():
        version = _record(dataset, manifest, summary, statistics, by, note, parent, list(sources))
        splits.keep_named(version, summary.rows_of, by=by)
    return version


@transaction.atomic
def _record(
    dataset: Dataset,
    manifest: manifests.Manifest,
    summary: Summary,
    statistics: dict[str, Any],
    by: User,
    note: str,
    parent: DatasetVersion | None,
    sources: list[str],
) -> DatasetVersion:
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    last = dataset.versions.aggregate(last=Max("number"))["last"] or 0
    version = DatasetVersion.objects.create(
        dataset=dataset,
        number=last + 1,
        manifest=manifest,
        digest=manifests.digest(manifest),
        size=manifests.size(manifest),
        schema={"columns": summary.columns},
        rows=summary.rows,
        statistics=statistics,
        parent=parent,
        note=note.strip(),
        created_by=by,
    )
    if parent is not None:
        lineage.link(parent, version, "next version")
    for source in sources:
        lineage.link(source, version, "went into")
    audit.record("datasets.version.created", version, by=by, digest=version.digest, rows=version.rows)
    publish("datasets.version_created", version.pk)
    return version


def _summarise(manifest: manifests.Manifest) -> Summary:
    summariser = Summariser()
    for path in table_files(manifest):
        with objects.open_object(manifest[path]["sha256"]) as stream:
            summariser.read(path, stream)
    return summariser.summary()


def _look_at_images(manifest: manifests.Manifest) -> dict[str, Any]:
    images = Images()
    for path in image_files(manifest):
        with objects.open_object(manifest[path]["sha256"]) as stream:
            images.read(path, stream, manifest[path]["size"])
    return images.statistics()


def _check(slug: str, name: str, visibility: str) -> None:
    wrong: dict[str, str] = {}
    try:
        validate_slug(slug)
    except ValidationError:
        wrong["slug"] = _("use letters, digits and hyphens only")
    if slug != slug.lower() or len(slug) > 63:
        wrong["slug"] = _("use at most 63 lower-case letters, digits and hyphens")
    if not name.strip() or len(name) > 100:
        wrong["name"] = _("must have 1 to 100 letters")
    if visibility not in Dataset.Visibility.values:
        wrong["visibility"] = _("must be one of %(names)s") % {"names": ", ".join(Dataset.Visibility.values)}
    if wrong:
        text = "; ".join(f"{field}: {reason}" for field, reason in wrong.items())
        raise Invalid(_("The data set cannot be saved: %(text)s.") % {"text": text}, fields=wrong)
