"""Data that a person's script or notebook is given to read. Compute knows no data sets: an upper app brings them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from apps.core import lineage
from apps.core.policy import Verdict, allow

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


class Offer(NamedTuple):
    """Data that a person may choose: by which name code asks for it, how it is called, what more tells it apart."""

    name: str
    label: str
    note: str


@dataclass(frozen=True)
class Given:
    """Data that a job reads: its page, and whether the job comes from it or merely has it beside."""

    name: str
    label: str
    url: str
    source: bool


class Provider(Protocol):
    """Who has the data; a module will do."""

    def offered_to(self, user: User, words: str = "", *, most: int) -> list[Offer]:
        """What the person may choose, the newest first; with `words`, what is called so, by name."""

    def called(self, names: Sequence[str], *, user: User) -> list[Offer]:
        """Those of these names that the person may choose, in this order."""

    def given_to(self, job: Job, *, reader: User) -> tuple[list[Given], int]:
        """What a job reads of the data that the reader may know of, and how much more there is."""

    def may_read(self, user: User, job: Job) -> Verdict:
        """Whether the person may read all that the job does."""

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


def offered_to(user: User, words: str = "", *, most: int) -> list[Offer]:
    """What a form offers to a person, the newest first; with `words`, what is called so, by name."""
    return [offer for provider in _providers for offer in provider.offered_to(user, words, most=most)]


def called(names: Sequence[str], *, user: User) -> list[Offer]:
    """Those of these names that the person may choose, in this order."""
    return [offer for provider in _providers for offer in provider.called(names, user=user)] if names else []


def given_to(job: Job, *, reader: User) -> tuple[list[Given], int]:
    """What a job reads of the data that the reader may know of, and how much more there is."""
    for provider in _providers if job.mounts else ():
        return provider.given_to(job, reader=reader)
    return [], 0


def may_read(user: User, job: Job) -> Verdict:
    """Whether a person may read all that a job does."""
    for provider in _providers if job.mounts else ():
        return provider.may_read(user, job)
    return allow()


def data_named(names: Sequence[str], *, user: User) -> JobData:
    """The data that a person asked for by these names; none for none. Raises Invalid, NotAllowed."""
    if not names:
        return JobData()
    (provider,) = _providers
    return provider.data_named(names, user=user)
