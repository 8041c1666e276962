"""What releases offer to do with a logged call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.errors import NotFound
from apps.gateway.actions import Action
from apps.releases.policy import may_run_again
from apps.releases.reruns import version_of

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.gateway.models import Call


def run_again(user: User, call: Call) -> Action | None:
    """Run it again on the version that answered it."""
    try:
        version = version_of(call)
    except NotFound:
        return None
    if not may_run_again(user, version):
        return None
    return Action(
        _("Run again on %(version)s") % {"version": version.number},
        reverse("releases:run-again", args=[call.request_id]),
        "history",
        _("Exactly the version that answered; it is brought up for this if it does not run any more."),
    )
