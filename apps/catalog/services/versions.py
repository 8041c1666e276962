"""Versions: recorded from uploads, taken out of use."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.catalog.models import SEMVER, Capability, Version
from apps.catalog.policy import may_add_version, may_retire_version
from apps.catalog.services.capabilities import index_words
from apps.catalog.services.locking import requirements_of
from apps.catalog.sources import check_source
from apps.catalog.uses import FEWEST_DAYS, MOST_DAYS, QUIET_DAYS, uses_of
from apps.core import audit, lineage, manifests
from apps.core.errors import Conflict, Invalid
from apps.core.events import publish
from apps.core.policy import require

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.datasets.models import DatasetVersion

_NAMED = 5


@transaction.atomic
def create_version(
    capability: Capability,
    number: str,
    *,
    files: Mapping[str, str],
    by: User,
    changelog: str = "",
    dataset_version: DatasetVersion | None = None,
    code_digest: str = "",
    training_job_urn: str = "",
    parameters: Mapping[str, Any] | None = None,
    expected_digest: str = "",
) -> Version:
    """Record an uploaded model as a new version. `files` is {path: sha256} of objects that are stored already.

    Nothing is opened here; packaging reads the model inside the sandbox. `expected_digest` is checked against
    the digest over all files. Raises Invalid naming the file, the number or the digest that is wrong.
    """
    require(may_add_version(by, capability))
    if not re.fullmatch(SEMVER, number) or len(number) > 64:
        raise Invalid(
            _("“%(number)s” is no semantic version. Write it like 1.4.0 or 2.0.0-beta.1.")
            % {"number": number},
            fields={"number": _("is no semantic version")},
        )
    manifest = manifests.build(files)
    check_source(manifest)
    requirements_of(manifest)  # refuses lines that cannot be taken, before anything is stored
    digest = manifests.digest(manifest)
    if expected_digest and expected_digest != digest:
        raise Invalid(
            _("The files have the digest %(actual)s, not %(expected)s as announced. Upload them again.")
            % {"actual": digest, "expected": expected_digest},
            fields={"digest": _("does not fit the files")},
        )
    try:
        with transaction.atomic():
            version = Version.objects.create(
                capability=capability,
                number=number,
                changelog=changelog.strip(),
                source_manifest=manifest,
                source_digest=digest,
                size=manifests.size(manifest),
                dataset_version_urn=lineage.urn(dataset_version) if dataset_version else "",
                code_digest=code_digest,
                training_job_urn=training_job_urn,
                parameters=dict(parameters or {}),
                created_by=by,
            )
    except IntegrityError as error:
        raise Invalid(
            _("%(name)s has a version %(number)s already, and versions never change. Use a new number.")
            % {"name": capability.name, "number": number},
            fields={"number": _("This one is taken: choose another.")},
        ) from error
    _link_sources(version, dataset_version, training_job_urn)
    audit.record("catalog.version.created", version, by=by, number=number, source_digest=digest)
    publish("catalog.version_created", version.pk)
    return version


@transaction.atomic
def create_int8_version(version: Version, number: str, *, by: User) -> Version:
    """A new version of the same upload that serves int8, for a version whose packaging offers it.

    It is packaged like every other one and compared again. Raises Conflict when int8 is not offered, Invalid.
    """
    require(may_add_version(by, version.capability))
    offer = version.report.get("quantisation") or {}
    if version.status != Version.Status.PACKAGED or not offer.get("offered") or offer.get("chosen"):
        raise Conflict(
            _("%(version)s cannot be made int8: %(reason)s.")
            % {"version": version, "reason": offer.get("reason") or _("its packaging offers none")}
        )
    asked = version.parameters.get("packaging")
    return create_derived_version(
        version,
        number,
        files={path: entry["sha256"] for path, entry in version.source_manifest.items()},
        by=by,
        changelog=_("%(number)s with int8 weights.") % {"number": version.number},
        parameters={"packaging": {**(asked if isinstance(asked, dict) else {}), "quantise": True}},
        how="quantised",
    )


def create_derived_version(
    version: Version,
    number: str,
    *,
    files: Mapping[str, str],
    changelog: str,
    how: str,
    by: User,
    parameters: Mapping[str, Any] | None = None,
) -> Version:
    """A version made from another one's upload: its origin is the other's, and lineage says `how`."""
    made = create_version(
        version.capability,
        number,
        files=files,
        by=by,
        changelog=changelog,
        code_digest=version.code_digest,
        training_job_urn=version.training_job_urn,
        parameters={**version.parameters, **(parameters or {})},
    )
    Version.objects.filter(pk=made.pk).update(dataset_version_urn=version.dataset_version_urn)
    made.dataset_version_urn = version.dataset_version_urn
    lineage.link(version, made, how)
    return made


@transaction.atomic
def retire_version(version: Version, *, by: User, quiet_days: int = QUIET_DAYS) -> Version:
    """Take a version out of use: it cannot be deployed any more.

    Raises Conflict naming the deployments that run it and who called it within `quiet_days`, Invalid for a time
    outside of 1 to 90 days.
    """
    require(may_retire_version(by, version))
    if not FEWEST_DAYS <= quiet_days <= MOST_DAYS:
        raise Invalid(
            _("Choose %(low)d to %(high)d days without calls.") % {"low": FEWEST_DAYS, "high": MOST_DAYS},
            fields={"quiet_days": str(quiet_days)},
        )
    if version.status == Version.Status.PACKAGED and (uses := uses_of(version, quiet_days)):
        named = "; ".join(use.words for use in uses[:_NAMED])
        raise Conflict(
            _("%(version)s is still in use: %(uses)s. It can be retired %(days)d days after its last call.")
            % {"version": version, "uses": named, "days": quiet_days},
            uses=[{"words": use.words, "url": use.url} for use in uses],
        )
    Version.lifecycle.move(version, "retired", by=by)
    index_words(version.capability)
    publish("catalog.version_retired", version.pk)
    return version


def _link_sources(version: Version, dataset_version: DatasetVersion | None, training_job_urn: str) -> None:
    if training_job_urn:
        if dataset_version is not None:
            lineage.link(dataset_version, training_job_urn, "trained on")
        lineage.link(training_job_urn, version, "made")
    elif dataset_version is not None:
        lineage.link(dataset_version, version, "trained on")
