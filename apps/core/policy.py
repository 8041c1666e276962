"""Verdicts: may a person do something, and if not, why not. Templates show the reason."""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.errors import NotAllowed


@dataclass(frozen=True)
class Verdict:
    """The answer to `may_<verb>(actor, obj)`; truthy when allowed."""

    allowed: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def allow() -> Verdict:
    """Yes."""
    return Verdict(True)


def deny(reason: str) -> Verdict:
    """No, with a full sentence that says why and what would help."""
    return Verdict(False, str(reason))


def require(verdict: Verdict) -> None:
    """Let an allowed verdict pass; raise NotAllowed with the reason otherwise."""
    if not verdict:
        raise NotAllowed(verdict.reason)
