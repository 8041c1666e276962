"""Who may decide, comment and withdraw, and why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.accounts.policy import is_platform_admin
from apps.core.policy import Verdict, allow, deny
from apps.requests.models import Request
from apps.requests.selectors import requests_visible_to, stands_for

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.requests.models import Step


def may_decide(user: User, request: Request) -> Verdict:
    """Whether a person may say yes or no to an open request now, with the reason for a no."""
    if request.status != Request.Status.OPEN:
        return deny(
            _("This request is %(status)s already.") % {"status": request.get_status_display().lower()}
        )
    if request.owner_id == user.pk:
        return deny(_("Nobody decides on a request of their own."))
    if user.pk in request.excluded_ids:
        return deny(_("You took part in what this is about; somebody else has to decide."))
    return _open_step(user, request)


def _open_step(user: User, request: Request) -> Verdict:
    steps = list(request.steps.select_related("team").prefetch_related("decisions__user"))
    given = [d for step in steps for d in step.decisions.all()]
    decided = any(d.user_id == user.pk for d in given)
    if decided and request.four_eyes:
        return deny(_("You have decided already; four eyes need a second person."))
    if any(stands_for(user, step, request) for step in steps if not step.filled):
        return allow()
    for decision in given:
        if decision.instead_of_id == user.pk:
            return deny(_("%(who)s has decided in your place already.") % {"who": decision.user.called})
    if decided:
        return deny(_("You have decided already; another person is needed."))
    return deny(
        _("This waits for: %(who)s.") % {"who": "; ".join(words_of(s) for s in steps if not s.filled)}
    )


def words_of(step: Step) -> str:
    """A step in words: `2 × QA engineer in Network AI`."""
    role = step.get_role_display()
    who = _("%(role)s in %(team)s") % {"role": role, "team": step.team.name} if step.team else str(role)
    return f"{step.count} × {who}" if step.count > 1 else who


def may_see(user: User, request: Request) -> Verdict:
    """Whether a person may read a request and comment on it."""
    seen = requests_visible_to(user).filter(pk=request.pk).exists()
    return allow() if seen else deny(_("This request belongs to another team."))


def may_withdraw(user: User, request: Request) -> Verdict:
    """Whether a person may take a request back."""
    if request.status != Request.Status.OPEN:
        return deny(
            _("This request is %(status)s already.") % {"status": request.get_status_display().lower()}
        )
    if request.owner_id == user.pk or is_platform_admin(user):
        return allow()
    return deny(_("Only the person who asked can withdraw a request."))
