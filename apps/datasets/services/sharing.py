"""Letting single people of other teams read a data set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _
from guardian.shortcuts import assign_perm, remove_perm

from apps.core import audit
from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.policy import require
from apps.datasets.models import VIEW_DATASET, Dataset
from apps.datasets.policy import may_share, may_view
from apps.datasets.selectors import readers_of
from apps.requests.services import notify

if TYPE_CHECKING:
    from apps.accounts.models import User

MOST_READERS = 100


@transaction.atomic
def share_dataset(dataset: Dataset, person: User, *, by: User) -> None:
    """Let a person read all versions of a data set, and tell them. Nothing happens to who may read it already.

    Raises NotAllowed; Invalid for somebody who has left; Conflict for more than `MOST_READERS`.
    """
    require(may_share(by, dataset))
    dataset = Dataset.objects.select_for_update(of=("self",)).select_related("team").get(pk=dataset.pk)
    if not person.is_active:
        raise Invalid(
            _("%(name)s has left and cannot log in.") % {"name": person.username},
            fields={"username": _("has left")},
        )
    if may_view(person, dataset):
        return
    if readers_of(dataset).count() >= MOST_READERS:
        raise Conflict(
            _("It is shared with %(most)d people already. Make it visible to the organisation instead.")
            % {"most": MOST_READERS}
        )
    assign_perm(VIEW_DATASET, person, dataset)
    audit.record("datasets.reader.added", dataset, by=by, user=person.username)
    told = {"who": by.called, "name": dataset.name}
    notify(
        [person],
        lambda: _("%(who)s lets you read the data set %(name)s") % told,
        url=reverse("datasets:detail", args=[dataset.slug]),
    )


@transaction.atomic
def stop_sharing(dataset: Dataset, username: str, *, by: User) -> None:
    """Take the data set from a person it was shared with. Raises NotAllowed, NotFound."""
    require(may_share(by, dataset))
    person = readers_of(dataset, with_left=True).filter(username=username).first()
    if person is None:
        raise NotFound(_("It is not shared with “%(name)s”.") % {"name": username[:150]})
    remove_perm(VIEW_DATASET, person, dataset)
    audit.record("datasets.reader.removed", dataset, by=by, user=person.username)
