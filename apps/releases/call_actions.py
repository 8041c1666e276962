"""What releases offer to do with a logged call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.errors import NotFound
from apps.gateway.actions import Action, Choice
from apps.releases.policy import may_run_again
from apps.releases.reruns import others_to_ask, version_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version
    from apps.gateway.models import Call

_MOST = 50


def run_again(user: User, call: Call) -> Action | None:
    """Run it again on the version that answered it."""
    version = _answered_by(call)
    if version is None or not may_run_again(user, version):
        return None
    return Action(
        _("Run again on %(version)s") % {"version": version.number},
        reverse("releases:run-again", args=[call.request_id]),
        "history",
        _("Exactly the version that answered; it is brought up for this if it does not run any more."),
    )


def run_on_another(user: User, call: Call) -> Action | None:
    """Run it again on another version, one of the newest."""
    version = _answered_by(call)
    others = list(others_to_ask(version).select_related("capability__team")[:_MOST]) if version else []
    if not others or not may_run_again(user, others[0]):
        return None
    return Action(
        _("Run again on this version"),
        reverse("releases:run-again", args=[call.request_id]),
        "arrows-diff",
        _("Both answers stand side by side; it is brought up for this if it does not run."),
        Choice("version", _("Another version"), [other.number for other in others]),
    )


def _answered_by(call: Call) -> Version | None:
    try:
        return version_of(call)
    except NotFound:
        return None
