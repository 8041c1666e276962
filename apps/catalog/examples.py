"""Documents that parsing rules can be tried on: shipped cases, and what an upper app knows of logged calls."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.catalog.selectors import text_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version

log = logging.getLogger(__name__)

MOST = 12


@dataclass(frozen=True, slots=True)
class Example:
    """One call: its request's `inputs` and its answer's `outputs` in one document."""

    title: str
    document: dict[str, Any]


if TYPE_CHECKING:
    Source = Callable[[Version, User], Iterable[Example]]

_sources: list[Source] = []


def register(source: Source) -> None:
    """Let an app above offer calls of a version, newest first. Called in `ready()`."""
    _sources.append(source)


def examples_of(version: Version, *, user: User) -> list[Example]:
    """Up to a dozen calls to try rules on: the newest logged ones that the person may see, then shipped cases."""
    found = [example for source in _sources for example in source(version, user)]
    return [*found, *_shipped(version)][:MOST]


def _shipped(version: Version) -> list[Example]:
    try:
        cases = json.loads(text_of(version, "cases.json") or "[]")
        return [
            Example(
                _("shipped case “%(name)s”") % {"name": case["name"]},
                {"inputs": case["inputs"], "outputs": case["expected"]},
            )
            for case in cases
        ]
    except (ValueError, KeyError, TypeError) as error:
        log.warning("the cases of %s cannot be read: %s", version, error)
        return []
