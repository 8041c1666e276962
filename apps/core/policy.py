"""Verdicts: may a person do something, and if not, why not. Templates show the reason.

A reason said with `telling.say` remembers what it is made of, so that a row can keep it (`telling.kept`).
"""

from __future__ import annotations

from dataclasses import dataclass

from apps.core.errors import NotAllowed


@dataclass(frozen=True)
class Verdict:
    """The answer to `may_<verb>(actor, obj)`; truthy when allowed. `url` is the page where a no can be mended."""

    allowed: bool
    reason: str = ""
    url: str = ""

    def __bool__(self) -> bool:
        return self.allowed


def allow() -> Verdict:
    """Yes."""
    return Verdict(True)


def deny(reason: str, *, url: str = "") -> Verdict:
    """No, with a full sentence that says why and what would help, and perhaps the page where."""
    return Verdict(False, reason if isinstance(reason, str) else str(reason), url)


def require(verdict: Verdict) -> None:
    """Let an allowed verdict pass; raise NotAllowed with the reason otherwise."""
    if not verdict:
        raise NotAllowed(verdict.reason, **({"url": verdict.url} if verdict.url else {}))
