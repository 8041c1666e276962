"""Words for the levels of the sandbox and what each of them holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

from apps.compute.engines.sandbox import HOLDS
from apps.core.telling import sentence
from atrium.told import patterns_of

if TYPE_CHECKING:
    from django.utils.functional import Promise

    from apps.compute.engines.sandbox import Level

LEVEL_LABELS: dict[str, Promise] = {
    "bubblewrap": _("bubblewrap as root, own user"),
    "bubblewrap-rootless": _("bubblewrap without root"),
    "own-uid": _("own user and limits"),
    "rlimits": _("limits only"),
}

_HOLD_LABELS: dict[str, Promise] = {
    "files": _("Files of the machine and of others cannot be read"),
    "processes": _("Processes of others cannot be seen or signalled"),
    "network": _("No network but the portal's forwarder"),
    "identity": _("Runs as a user of its own without rights"),
    "fork_bomb": _("A fork bomb hurts only itself"),
    "memory": _("Memory of the whole process tree is limited"),
    "disk": _("Disk space is limited"),
    "temporary_files": _("Temporary files are limited and its own"),
    "output": _("Endless output is bounded"),
}


def hold_labels() -> list[tuple[str, Promise]]:
    """Each thing that a level can hold, with its words, in the order of the table."""
    return [(name, _HOLD_LABELS[name]) for name in HOLDS]


def why_not(level: Level) -> dict[str, str]:
    """Why each stronger level does not work on this machine, in the reader's language."""
    told = patterns_of(level.why_not)
    return {name: sentence(words, told) for name, words in level.why_not.items()}
