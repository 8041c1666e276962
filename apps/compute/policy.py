"""Who may see, cancel and repeat jobs, and whose code may run in a weak sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from django.conf import settings
from django.utils.translation import gettext as _

from apps.accounts.models import Role
from apps.accounts.policy import has_role, is_platform_admin, may_act_as
from apps.compute import job_data, repeats
from apps.compute.engines import sandbox
from apps.core.policy import Verdict, allow, deny

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from apps.accounts.models import Team, User
    from apps.compute.models import Job

WATCHERS = (Role.DEVELOPER, Role.OPERATOR, Role.QA)
SUBMITTERS = (Role.DEVELOPER, Role.OPERATOR)


def may_see_job(user: User | AnonymousUser, job: Job) -> Verdict:
    """Developers, operators and QA of the job's team see it."""
    return may_act_as(user, job.team, *WATCHERS)


def may_submit_job(user: User | AnonymousUser, team: Team) -> Verdict:
    """Developers of a team run code for it."""
    return may_act_as(user, team, *SUBMITTERS)


def may_cancel_job(user: User | AnonymousUser, job: Job) -> Verdict:
    """Who made it, and developers and operators of the team, end it."""
    if job.ended:
        return deny(_("Job %(id)s has ended already.") % {"id": job.pk})
    if job.created_by_id is not None and job.created_by_id == user.pk:
        return allow()
    return may_act_as(user, job.team, *SUBMITTERS)


def may_retry_job(user: User | AnonymousUser, job: Job) -> Verdict:
    """Who may submit for the team, and may read the job's data now, repeats what did not succeed."""
    if job.status not in ("failed", "cancelled"):
        return deny(
            _("Only a failed or cancelled job can be repeated; this one is %(status)s.")
            % {"status": job.get_status_display()}
        )
    if not (verdict := may_submit_job(user, job.team)):
        return verdict
    if words := repeats.why_not(job):
        return deny(words)
    return job_data.may_read(cast("User", user), job)


def may_see_nodes(user: User | AnonymousUser) -> Verdict:
    """Operators of any team, and administrators, see what the machines bear."""
    if is_platform_admin(user) or has_role(user, Role.OPERATOR):
        return allow()
    return deny(_("Only operators and administrators see the nodes."))


def may_run_code(user: User | AnonymousUser | None) -> Verdict:
    """Whether this machine's sandbox holds people's code. `None` is the portal's own code."""
    level = sandbox.probe()
    if level.is_strong or settings.ATRIUM.allow_weak_sandbox or user is None or is_platform_admin(user):
        return allow()
    return deny(
        _(
            "The sandbox of this machine is only “%(level)s”, which does not hold foreign code. An administrator "
            "can install bubblewrap, or allow it with ATRIUM_ALLOW_WEAK_SANDBOX=1."
        )
        % {"level": level.name}
    )
