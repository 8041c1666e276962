"""Days and moments as people write them in filters."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import MAXYEAR, datetime, time, timedelta
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.translation import gettext as _

from apps.core.errors import Invalid


def moment_of(asked: Mapping[str, Any], name: str, *, end: bool) -> datetime | None:
    """The moment that a filter names, None where it is empty. Raises Invalid for what is no date.

    A day counts in the reader's time zone, from its beginning or, with `end`, to its end.
    """
    text = str(asked.get(name) or "").strip()
    if not text:
        return None
    zone = timezone.get_current_timezone()
    try:
        day, moment = parse_date(text), parse_datetime(text)
    except ValueError:
        day = moment = None
    if day is not None and day.year < MAXYEAR:
        return datetime.combine(day + timedelta(days=int(end)), time.min, tzinfo=zone)
    if moment is None:
        raise Invalid(
            _("“%(value)s” is no date; say 2026-11-28, or 2026-11-28T14:00:00Z.") % {"value": text[:40]},
            fields={name: _("is no date")},
        )
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)
