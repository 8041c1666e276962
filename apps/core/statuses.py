"""How a status looks: its word, a tone and an icon. Never colour alone."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """`tone` is one of good, busy, wait, bad, idle; `icon` a Tabler icon's name."""

    tone: str
    icon: str


_UNKNOWN = Look("idle", "point")
_LOOKS: dict[str, Look] = {}


def register(tone: str, icon: str, *words: str) -> None:
    """Say how these status words look; apps with words of their own call it in `ready()`."""
    _LOOKS.update(dict.fromkeys(words, Look(tone, icon)))


def look_of(status: str) -> Look:
    """The look of a status word, whatever its case; a plain one for a word that nobody registered."""
    return _LOOKS.get(str(status).lower().replace(" ", "_").replace("-", "_"), _UNKNOWN)


register("good", "circle-check", "ready", "active", "granted", "published", "packaged", "succeeded", "passed")
register(
    "good", "circle-check", "completed", "complete", "accepted", "healthy", "approved", "valid", "ok", "on"
)
register(
    "good", "circle-check", "up", "correct", "intact", "done", "released", "reviewed", "full", "closed_good"
)
register("good", "rosette-discount-check", "signed", "verified")
register("good", "broadcast", "live", "production", "serving")
register("busy", "player-play", "running", "in_progress", "evaluating", "observing", "promoting")
register(
    "busy", "loader", "starting", "packaging", "building", "preparing", "stopping", "submitted", "claimed"
)
register("busy", "flask", "test", "trial", "shadow")
register("wait", "clock", "queued", "pending", "waiting", "undecided", "open", "requested", "due", "leased")
register("wait", "player-pause", "paused", "suspended", "frozen", "held")
register("wait", "alert-triangle", "warning", "degraded", "stale", "disputed", "deprecated", "missing")
register("bad", "circle-x", "failed", "rejected", "error", "revoked", "refused", "lost", "wrong", "down")
register("bad", "circle-x", "aborted", "void", "voided", "incorrect", "unhealthy", "broken", "offline")
register("bad", "arrow-back-up", "rolled_back", "rollback")
register("idle", "pencil", "draft")
register("idle", "circle-minus", "stopped", "retired", "cancelled", "withdrawn", "closed", "skipped", "off")
register("idle", "clock-off", "expired")
