"""Why an environment could not be made, from the words of uv, and what to do. Pure text."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

_CAUSES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("no space left on device", "disk quota exceeded"),
        gettext_noop("The disk of the machine is full."),
        gettext_noop("An administrator makes room; then try again."),
    ),
    (
        ("hash mismatch", "hashes do not match"),
        gettext_noop("A package host sent a file that is not the one that was locked."),
        gettext_noop(
            "Try again, so that the versions are chosen anew; if it happens again, tell an administrator."
        ),
    ),
    (
        ("no usable wheels", "no wheels", "building source distributions is disabled", "--only-binary"),
        gettext_noop("A package does not come ready made for this Python and this machine."),
        gettext_noop("Ask for another version of it; packages are never built from source here."),
    ),
    (
        ("was not found in the package registry", "not found in the package index"),
        gettext_noop("There is no package of that name."),
        gettext_noop("Correct the name in a new environment."),
    ),
    (
        ("no solution found", "unsatisfiable"),
        gettext_noop("No set of versions fits together with each other and with the base."),
        gettext_noop("Loosen or correct the versions that are named below, in a new environment."),
    ),
    (
        (
            *("failed to fetch", "error sending request", "dns error", "timed out", "connection refused"),
            *("tunnel", "proxy", "client error (connect)"),
        ),
        gettext_noop("The package host did not answer, or sandboxes may not reach it."),
        gettext_noop("Try again in a minute; if it stays so, an administrator looks at Network."),
    ),
    (
        ("incompatib",),
        gettext_noop("What was installed does not go together."),
        gettext_noop("Correct the packages that are named below, in a new environment."),
    ),
)


def what_happened(words: str) -> tuple[str, str]:
    """(what went wrong, what to do) in the reader's language, for the last words of uv or of the job."""
    lower = words.lower()
    for signs, what, to_do in _CAUSES:
        if any(sign in lower for sign in signs):
            return _(what), _(to_do)
    return (
        _("The environment could not be made."),
        _("Correct the packages in a new environment, or try again when the package host was away."),
    )
