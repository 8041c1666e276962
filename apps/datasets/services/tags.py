"""Names for versions, which can be moved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _

from apps.core import audit
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.datasets.models import Tag
from apps.datasets.policy import may_split

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.datasets.models import Dataset, DatasetVersion

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


@transaction.atomic
def tag_version(version: DatasetVersion, name: str, *, by: User) -> Tag:
    """Give a version a name, taking it from the version that had it. Raises Invalid, NotAllowed."""
    require(may_split(by, version.dataset))
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise Invalid(
            _("“%(name)s” is no tag. Begin with a letter; use at most 40 letters, digits and hyphens.")
            % {"name": name[:80]},
            fields={"name": _("begins with a letter; letters, digits and hyphens")},
        )
    before = Tag.objects.select_for_update().filter(dataset=version.dataset, name=name).first()
    was = before.version.number if before else None
    tag, _made = Tag.objects.update_or_create(
        dataset=version.dataset, name=name, defaults={"version": version, "moved_by": by}
    )
    audit.record("datasets.tag.moved", version, by=by, tag=name, number=version.number, before=was)
    return tag


@transaction.atomic
def drop_tag(dataset: Dataset, name: str, *, by: User) -> None:
    """Take a name away. Raises NotFound, NotAllowed."""
    require(may_split(by, dataset))
    tag = Tag.objects.select_related("version").filter(dataset=dataset, name=name).first()
    if tag is None:
        raise NotFound(_("%(dataset)s has no tag “%(name)s”.") % {"dataset": dataset.name, "name": name[:80]})
    audit.record("datasets.tag.dropped", tag.version, by=by, tag=name, number=tag.version.number)
    tag.delete()
