"""Recordings of the web terminal: where a rule of an administrator says so, of what is shown, never of what is typed.

The live process writes each (`live/recorder.py`); rows say whose it is, and how long it is kept.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.policy import is_platform_admin, may_administer
from apps.core import audit
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.workbench import cast
from apps.workbench.models import Recording, RecordingRule, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apps.accounts.models import Site, Team, User

KEEP_DAYS = 90
MOST_DAYS = 3650
MOST_BYTES_OF_A_WORKSPACE = 1 << 30


def path_of(recording: Recording) -> Path:
    """The file of a recording."""
    return (
        Path(settings.ATRIUM.data_dir) / "recordings" / str(recording.workspace_id) / f"{recording.pk}.cast"
    )


def rules() -> QuerySet[RecordingRule]:
    """All rules, the widest first."""
    found = RecordingRule.objects.select_related("site", "team", "made_by")
    return found.order_by("scope", "pk")


def rule_for(workspace: Workspace) -> RecordingRule | None:
    """The rule by which a workspace's terminals are recorded, the one that keeps longest; None where they are not."""
    mine = Q(scope="all") | Q(site_id=workspace.team.site_id) | Q(team_id=workspace.team_id)
    return RecordingRule.objects.filter(mine).order_by("-keep_days", "pk").first()


@transaction.atomic
def add_rule(
    *, by: User, site: Site | None = None, team: Team | None = None, keep_days: int = KEEP_DAYS
) -> RecordingRule:
    """Record the terminals of a team, of a site's teams, or (with neither) all. Raises NotAllowed, Invalid."""
    require(may_administer(by))
    if site is not None and team is not None:
        raise Invalid(_("Name a site or a team, not both."), fields={"team": _("or the site")})
    if not 1 <= keep_days <= MOST_DAYS:
        message = _("Recordings are kept for 1 to %(most)d days, not for %(given)d.")
        message %= {"most": MOST_DAYS, "given": keep_days}
        raise Invalid(message, fields={"keep_days": message})
    scope = "team" if team else "site" if site else "all"
    try:
        with transaction.atomic():
            made = RecordingRule.objects.create(
                scope=scope, site=site, team=team, keep_days=keep_days, made_by=by
            )
            audit.record("workbench.recording_rule.added", made, by=by, rule=str(made), keep_days=keep_days)
    except IntegrityError as error:
        raise Invalid(_("There is a rule for these terminals already. Remove it first.")) from error
    return made


@transaction.atomic
def remove_rule(rule: RecordingRule, *, by: User) -> None:
    """Record these terminals no more; what was recorded stays until its time is over. Raises NotAllowed."""
    require(may_administer(by))
    audit.record("workbench.recording_rule.removed", rule, by=by, rule=str(rule))
    rule.delete()


def recordings_visible_to(user: User) -> QuerySet[Recording]:
    """A person's own, and for an administrator all; the newest first."""
    found = Recording.objects.select_related("workspace__team", "user").order_by("-started_at", "-pk")
    return found if is_platform_admin(user) else found.filter(user=user)


def recording_for(user: User, pk: int) -> Recording:
    """One recording. Raises NotFound, which also hides that it exists."""
    found = recordings_visible_to(user).filter(pk=pk).first()
    if found is None:
        raise NotFound(_("There is no recording %(pk)s that you may see.") % {"pk": pk})
    return found


def begin_recording(workspace_id: int, user_id: int, terminal: str) -> Recording | None:
    """Make the row of a recording that begins now; None where no rule asks for it any more."""
    workspace = Workspace.objects.select_related("team").get(pk=workspace_id)
    rule = rule_for(workspace)
    if rule is None:
        return None
    now = timezone.now()
    return Recording.objects.create(
        workspace=workspace,
        user_id=user_id,
        terminal=terminal[:60],
        started_at=now,
        expires_at=now + timedelta(days=rule.keep_days),
    )


def end_recording(recording: Recording, *, seconds: float, size: int, full: bool) -> None:
    """Write down how long it became. May be told twice."""
    facts = {"ended_at": timezone.now(), "seconds": seconds, "size": size, "full": full}
    Recording.objects.filter(pk=recording.pk, ended_at=None).update(**facts)


def read_recording(recording: Recording, *, by: User) -> Iterator[bytes]:
    """The recording's lines, for who may see it; another one than its owner leaves an audit row. Raises NotFound."""
    path = path_of(recording)
    if not path.is_file():
        raise NotFound(_("The file of recording %(pk)s is not there any more.") % {"pk": recording.pk})
    if recording.user_id != by.pk:
        facts = {
            "workspace": recording.workspace_id,
            "terminal": recording.terminal,
            "owner": recording.user.username,
        }
        audit.record("workbench.recording.read", recording, by=by, **facts)
    return cast.lines_of(path)


def tidy_recordings() -> None:
    """End what a kill left; delete what is over its time, and a workspace's oldest beyond its share of the disk."""
    for recording in Recording.objects.filter(ended_at=None).order_by("pk")[:200]:
        _end_if_left(recording)
    for recording in Recording.objects.filter(expires_at__lt=timezone.now()).order_by("pk")[:1000]:
        _delete(recording, "expired")
    totals = Recording.objects.values("workspace").annotate(all=Sum("size"))
    for row in totals.filter(all__gt=MOST_BYTES_OF_A_WORKSPACE)[:100]:
        too_much = row["all"] - MOST_BYTES_OF_A_WORKSPACE
        ended = Recording.objects.filter(workspace=row["workspace"], ended_at__isnull=False)
        for recording in ended.order_by("started_at", "pk"):
            if too_much <= 0:
                break
            too_much -= recording.size
            _delete(recording, "the workspace has too many")


def _end_if_left(recording: Recording) -> None:
    path = path_of(recording)
    if path.is_file() and not cast.is_written(path):
        end_recording(recording, seconds=cast.length_of(path), size=path.stat().st_size, full=False)
    elif not path.exists() and recording.started_at < timezone.now() - timedelta(minutes=1):
        recording.delete()  # killed before the first byte


@transaction.atomic
def _delete(recording: Recording, why: str) -> None:
    audit.record("workbench.recording.deleted", recording, by=None, why=why, workspace=recording.workspace_id)
    path_of(recording).unlink(missing_ok=True)
    recording.delete()
