"""The end of one version, told ahead: since when, until which day, and which version takes its place."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog.models import Version
from apps.catalog.policy import may_deprecate_version
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.events import publish
from apps.core.policy import require

if TYPE_CHECKING:
    from apps.accounts.models import User

_NEVER: dict[str, Any] = {
    "deprecated_at": None,
    "deprecation_note": "",
    "retires_on": None,
    "successor": None,
}


def check_day(retires_on: date | None) -> None:
    """Raises Invalid where something would go on a day that is over."""
    if retires_on is not None and retires_on < timezone.localdate():
        raise Invalid(
            _("The day of retirement, %(day)s, lies in the past.") % {"day": retires_on},
            fields={"retires_on": _("lies in the past")},
        )


@transaction.atomic
def deprecate_version(
    version: Version, *, by: User, note: str = "", retires_on: date | None = None, successor: str = ""
) -> Version:
    """Tell that a version will go, on which day, and by its number which one to call instead. It answers as before.

    Said again, it changes the day, the words and the successor, and subscribers hear of it anew. Raises Conflict
    for a version that cannot be called, Invalid naming the day or the successor that is wrong.
    """
    require(may_deprecate_version(by, version))
    check_day(retires_on)
    locked = Version.objects.select_for_update().get(pk=version.pk)
    if locked.status != Version.Status.PACKAGED:
        raise Conflict(
            _("%(version)s is %(status)s: nobody calls it, so there is nobody to tell.")
            % {"version": version, "status": locked.get_status_display()}
        )
    told = {
        "deprecation_note": note.strip(),
        "retires_on": retires_on,
        "successor": _successor_of(locked, successor) if successor else None,
    }
    before = locked.deprecated_at
    if before and all(getattr(locked, name) == value for name, value in told.items()):
        return _set(version, deprecated_at=before, **told)
    facts = {**told, "successor": successor}
    _set(version, deprecated_at=before or timezone.now(), **told)
    audit.record("catalog.version.deprecated", version, by=by, again=bool(before), **facts)
    publish("catalog.version_deprecated", version.pk)
    return version


@transaction.atomic
def keep_version(version: Version, *, by: User) -> Version:
    """Take the deprecation of a version back: answers carry nothing of it within seconds."""
    require(may_deprecate_version(by, version))
    if Version.objects.select_for_update().get(pk=version.pk).deprecated_at is not None:
        _set(version, **_NEVER)
        audit.record("catalog.version.kept", version, by=by)
        publish("catalog.version_deprecated", version.pk)
    return version


def _set(version: Version, **told: Any) -> Version:
    for name, value in told.items():
        setattr(version, name, value)
    version.save(update_fields=[*told])
    return version


def _successor_of(version: Version, number: str) -> Version:
    """The version with this number that callers can be sent to."""
    others = Version.objects.filter(capability=version.capability_id, status=Version.Status.PACKAGED)
    found = others.exclude(pk=version.pk).filter(number=number).first()
    if found is None or found.deprecated_at is not None:
        why = _("is deprecated itself") if found else _("is no other packaged version")
        raise Invalid(
            _("Version %(number)s cannot take its place: it %(why)s.") % {"number": number[:64], "why": why},
            fields={"successor": why},
        )
    return found
