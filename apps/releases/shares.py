"""Which share of whose calls the stages of a release give to the candidate. Pure computation.

A stage raises the share at one site, or everywhere; a site that is ahead of the others stays so until they have
caught up, so that no caller is ever sent back by a promotion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol


class Step(Protocol):
    """What a stage says: percent, and a site's short name or nothing for all of them."""

    @property
    def weight(self) -> int: ...

    @property
    def site(self) -> str: ...


@dataclass(frozen=True)
class Shares:
    """The candidate's percent of the calls: `everywhere`, and at the sites that are ahead of that."""

    everywhere: int = 0
    ahead: dict[str, int] = field(default_factory=dict)

    def after(self, step: Step) -> Shares:
        """The shares once a stage has begun."""
        if step.site:
            return Shares(self.everywhere, self.ahead | {step.site: max(step.weight, self.at(step.site))})
        everywhere = max(step.weight, self.everywhere)
        return Shares(everywhere, {site: share for site, share in self.ahead.items() if share > everywhere})

    def at(self, site: str) -> int:
        """The share at one site."""
        return self.ahead.get(site, self.everywhere)

    def raised_by(self, step: Step) -> bool:
        """Whether a stage gives the candidate anything that it does not have."""
        return step.weight > (self.at(step.site) if step.site else self.everywhere)


def shares_of(steps: Iterable[Step]) -> Shares:
    """The shares after these stages, in their order."""
    found = Shares()
    for step in steps:
        found = found.after(step)
    return found
