"""Which node may take work that asks for labels, and why it waits. Pure.

A reason is a pattern with its values (see core.telling), so that each reader gets it in their language.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from apps.core.errors import Invalid
from apps.core.telling import told

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from apps.core.telling import Told

MOST_LABELS = 20
LONGEST_LABEL = 63

ELSEWHERE = gettext_noop("waits for node %(nodes)s, which has the labels %(labels)s")
LARGER = gettext_noop("waits for node %(nodes)s, which is large enough")
_CLOSED = gettext_noop("waits: the nodes with the labels %(labels)s take nothing now: %(nodes)s")
_UNKNOWN = gettext_noop("waits: no node has the label %(labels)s")
_NEVER_TOGETHER = gettext_noop("waits: no node has all of the labels %(labels)s")


@dataclass(frozen=True)
class Place:
    """A node as far as placement goes; `open` where it takes new work."""

    name: str
    labels: frozenset[str]
    open: bool = True


def read_labels(words: Iterable[str]) -> list[str]:
    """Labels as they are kept: each once, single spaces, in the order given. Raises Invalid."""
    wanted = list(dict.fromkeys(word for label in words if (word := " ".join(str(label).split()))))
    too_long = next((label for label in wanted if len(label) > LONGEST_LABEL), "")
    if too_long:
        message = _("The label “%(label)s…” has %(given)d characters; at most %(most)d are possible.")
        message %= {"label": too_long[:20], "given": len(too_long), "most": LONGEST_LABEL}
        raise Invalid(message, fields={"labels": message})
    if len(wanted) > MOST_LABELS:
        message = _("%(given)d labels are too many; at most %(most)d are possible.")
        message %= {"given": len(wanted), "most": MOST_LABELS}
        raise Invalid(message, fields={"labels": message})
    return wanted


def why_not(wanted: Sequence[str], here: str, places: Sequence[Place]) -> Told | None:
    """Why the node `here` does not take what asks for these labels; None where it has them all."""
    asked = frozenset(wanted)
    fitting = [place for place in places if asked <= place.labels]
    if not asked or any(place.name == here for place in fitting):
        return None
    labels = _quoted(wanted)
    if fitting:
        taking = [place.name for place in fitting if place.open]
        names = ", ".join(taking or [place.name for place in fitting][:5])
        return told(ELSEWHERE if taking else _CLOSED, nodes=names, labels=labels)
    unknown = [label for label in wanted if not any(label in place.labels for place in places)]
    if unknown:
        return told(_UNKNOWN, labels=_quoted(unknown))
    return told(_NEVER_TOGETHER, labels=labels)


def speaker(wanted: Sequence[str], large: Container[str], places: Sequence[Place]) -> str | None:
    """The one of these nodes that says why a job waits: the nearest to taking it. None where there is no node.

    Each node finds the same one, so that they do not write over each other. `large` is where the job would fit.
    """
    asked = frozenset(wanted)
    near = min(
        places,
        key=lambda place: (not asked <= place.labels, place.name not in large, not place.open, place.name),
        default=None,
    )
    return near.name if near else None


def _quoted(labels: Iterable[str]) -> str:
    return ", ".join(f"“{label}”" for label in labels)
