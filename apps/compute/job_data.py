"""Data that a person's script or notebook is given to read. Compute knows no data sets: an upper app brings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from apps.core import lineage

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.compute.engines.base import Mount
    from apps.compute.models import Job

MOST = 50
"""So many versions at most in one job."""


@dataclass(frozen=True)
class JobData:
    """How a job finds its data, as `submit_job` takes it; `sources` are the data's URNs, for the lineage."""

    mounts: Sequence[Mount] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()


class Provider(Protocol):
    """Who has the data; a module will do."""

    def offered_to(self, user: User) -> list[tuple[str, str]]:
        """(name, label) of what a form offers to the person."""

    def data_named(self, names: Sequence[str], *, user: User) -> JobData:
        """The data of these names. Raises Invalid, NotAllowed for what the person may not read."""


def note_sources(data: JobData, job: Job) -> None:
    """Write into the lineage what a job was given; in the transaction that submits it."""
    for source in data.sources:
        lineage.link(source, job, "trained on")


_providers: list[Provider] = []


def register(provider: Provider) -> None:
    """Say who has the data; for an app's `ready()`."""
    _providers[:] = [provider]


def offered_to(user: User) -> list[tuple[str, str]]:
    """(name, label) of the data that a form offers to a person."""
    return [pair for provider in _providers for pair in provider.offered_to(user)]


def data_named(names: Sequence[str], *, user: User) -> JobData:
    """The data that a person asked for by these names; none for none. Raises Invalid, NotAllowed."""
    if not names:
        return JobData()
    (provider,) = _providers
    return provider.data_named(names, user=user)
