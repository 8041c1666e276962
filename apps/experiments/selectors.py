"""Reads of experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from apps.accounts.selectors import teams_of
from apps.core.errors import NotFound
from apps.experiments.models import Arm, Experiment
from apps.experiments.policy import VIEWERS
from apps.experiments.slices import Slice, room_for
from apps.releases.models import Bypass, Release
from apps.releases.order import UNDER_WAY

if TYPE_CHECKING:
    from collections.abc import Collection

    from apps.accounts.models import User
    from apps.catalog.models import Capability

MOST_SHOWN = 200


def experiments() -> QuerySet[Experiment]:
    """All of them with what lists and pages show."""
    found = Experiment.objects.select_related("capability__team", "created_by")
    return found.prefetch_related("arms__version", "arms__deployment")


def experiments_visible_to(user: User) -> QuerySet[Experiment]:
    """Experiments of the person's teams."""
    return experiments().filter(capability__team__in=teams_of(user, *VIEWERS))


def get_experiment(pk: int, *, user: User) -> Experiment:
    """An experiment by its key. Raises NotFound for what the person may not know of."""
    found = experiments_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no experiment %(pk)s that you may see.") % {"pk": pk})
    return found


def holding(capability: Capability, layer: str = "") -> QuerySet[Experiment]:
    """Experiments that have their slice now: running or paused, of a layer or of all."""
    found = experiments().filter(capability=capability, status__in=Experiment.HOLDING)
    return (found.filter(layer=layer) if layer else found).order_by("layer", "begins")


def taken(capability: Capability, layer: str, *, but: int | None = None) -> list[tuple[Slice, Experiment]]:
    """The slices of a layer that others have."""
    rows = holding(capability, layer).exclude(pk=but or 0)
    return [(Slice(row.begins, row.ends), row) for row in rows]


@dataclass(frozen=True)
class Room:
    """What a plan would take of its layer: `mine`, or None where no place is free; `taken` is what others have."""

    mine: Slice | None
    taken: list[tuple[Slice, Experiment]]

    @property
    def clashes(self) -> list[Experiment]:
        """Those that have a part of it until they end."""
        return [row for place, row in self.taken if self.mine is not None and self.mine.overlaps(place)]


def room_of(
    capability: Capability, layer: str, *, size: int, begins: int | None, but: int | None = None
) -> Room:
    """Where a plan would stand: where it asks to, else at the first place that nobody has or plans to have.

    Where other drafts leave no place, the first one that nobody has: whoever starts first gets it.
    """
    there = taken(capability, layer, but=but)
    if begins is not None:
        return Room(Slice(begins, begins + size), there)
    had = [place for place, _row in there]
    return Room(room_for(size, [*had, *_planned(capability, layer, but=but)]) or room_for(size, had), there)


def _planned(capability: Capability, layer: str, *, but: int | None) -> list[Slice]:
    drafts = Experiment.objects.filter(capability=capability, layer=layer, status=Experiment.Status.DRAFT)
    return [Slice(row.begins, row.ends) for row in drafts.exclude(pk=but or 0)[:MOST_SHOWN]]


def layers_of(capability: Capability) -> list[str]:
    """The layers that experiments of a capability have named, by name."""
    found = Experiment.objects.filter(capability=capability).order_by("layer")
    return list(found.values_list("layer", flat=True).distinct()[:MOST_SHOWN])


def waiting(capabilities: Collection[int]) -> dict[int, str]:
    """{capability: number of the version} where a release in gray, or an emergency, has the traffic for itself."""
    found = dict(
        Bypass.objects.filter(capability__in=capabilities, status=Bypass.Status.ACTIVE).values_list(
            "capability_id", "version__number"
        )
    )
    releases = Release.objects.filter(capability__in=capabilities, status__in=UNDER_WAY)
    return found | dict(releases.values_list("capability_id", "version__number"))


def arms_of(experiment: Experiment) -> list[Arm]:
    """The arms, the control first."""
    return list(experiment.arms.all())
