"""How a status looks: its word, a tone and an icon. Never colour alone."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext_noop as _


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

# Words that the badge shows by themselves, where a model brings no label; named here to be translated.
WORDS = (
    _("Completed"),
    _("Complete"),
    _("Healthy"),
    _("Approved"),
    _("Valid"),
    _("Ok"),
    _("On"),
    _("Up"),
    _("Correct"),
    _("Intact"),
    _("Reviewed"),
    _("Full"),
    _("Verified"),
    _("Serving"),
    _("In progress"),
    _("Observing"),
    _("Promoting"),
    _("Building"),
    _("Preparing"),
    _("Submitted"),
    _("Claimed"),
    _("Shadow"),
    _("Undecided"),
    _("Requested"),
    _("Due"),
    _("Leased"),
    _("Frozen"),
    _("Held"),
    _("Warning"),
    _("Degraded"),
    _("Stale"),
    _("Disputed"),
    _("Error"),
    _("Refused"),
    _("Lost"),
    _("Down"),
    _("Aborted"),
    _("Void"),
    _("Voided"),
    _("Incorrect"),
    _("Unhealthy"),
    _("Broken"),
    _("Offline"),
    _("Rollback"),
    _("Skipped"),
    _("Off"),
    _("Allowed"),
    _("Drained"),
    _("Silent"),
)
