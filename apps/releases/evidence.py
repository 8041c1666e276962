"""What the calls of a stage showed, per deployment, read from the call log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from apps.gateway.selectors import counts_since
from apps.releases.judgement import Counts

if TYPE_CHECKING:
    from apps.instances.models import Deployment


@dataclass(frozen=True)
class Observed:
    """Calls, server errors among them, calls that somebody called wrong, and the 95th percentile in milliseconds."""

    calls: int = 0
    errors: int = 0
    complaints: int = 0
    p95_ms: float | None = None

    @property
    def counts(self) -> Counts:
        return Counts(self.calls, min(self.calls, self.errors + self.complaints))

    def words(self) -> str:
        """`12 of 340`."""
        return f"{self.errors + self.complaints} of {self.calls}"


def observe(deployments: Iterable[Deployment | None], *, since: datetime) -> dict[int, Observed]:
    """What was logged since a moment for each deployment; a call whose feedback says wrong is a bad answer."""
    keys = [deployment.pk for deployment in deployments if deployment is not None]
    found = counts_since(keys, since)
    return {key: Observed(**found[key]) if key in found else Observed() for key in keys}
