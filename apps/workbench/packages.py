"""Environments of a team's own: what is asked for, locked by uv in a job, installed by the worker."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.catalog import requirements
from apps.compute import environments
from apps.compute.environments.builder import LOCKS
from apps.compute.models import Job
from apps.compute.services import have_lock, lock_of, submit_lock, why_no_lock
from apps.core import audit, background, objects, turns
from apps.core.errors import Invalid, PortalError
from apps.core.policy import require
from apps.core.urns import urn
from apps.workbench.install_log import RESOLVE, InstallLog
from apps.workbench.models import Environment, InstallOutput
from apps.workbench.policy import may_edit_workspace, may_make_environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from apps.accounts.models import Team, User
    from apps.workbench.models import Workspace

log = logging.getLogger(__name__)

JOB_KIND = "packages"
INSTALL = "workbench.install_environment"
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,39}")
_INSTALLED = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-([0-9][A-Za-z0-9.!+]*)\.dist-info")
_REASON_LENGTH = 4000


@transaction.atomic
def create_environment(
    name: str, text: str, *, team: Team, by: User, workspace: Workspace | None = None
) -> Environment:
    """Ask for the base's packages and those of `text`, one per line. Raises NotAllowed, Invalid."""
    require(may_make_environment(by, team))
    if not _NAME.fullmatch(name):
        message = _("“%(name)s” is no name: use 2 to 40 small letters, digits and hyphens.") % {
            "name": name[:60]
        }
        raise Invalid(message, fields={"name": message})
    if not requirements.read(text):
        message = _("Name at least one package that the base does not have.")
        raise Invalid(message, fields={"requirements": message})
    try:
        with transaction.atomic():
            made = Environment.objects.create(
                name=name, team=team, requirements=text.strip(), created_by=by, workspace=workspace
            )
            audit.record("workbench.environment.created", made, by=by, team=team.slug)
    except IntegrityError as error:
        message = _("There is an environment named “%(name)s” already.") % {"name": name}
        raise Invalid(message, fields={"name": message}) from error
    _submit(made, by=by)
    return made


def save_environment(workspace: Workspace, name: str, *, home: Path, by: User) -> Environment:
    """Make an environment of what the workspace's owner has installed with pip. Raises NotAllowed, Invalid."""
    require(may_edit_workspace(by, workspace))
    found = installed_in(home)
    if not found:
        raise Invalid(
            _(
                "Nothing was installed in this workspace. `pip install` in a terminal or notebook adds packages."
            ),
            fields={"name": _("nothing to save")},
        )
    text = "\n".join(found)
    return create_environment(name, text, team=workspace.team, by=by, workspace=workspace)


def installed_in(home: Path) -> list[str]:
    """What pip installed below a workspace's home, as name==version; never through a link that lies there."""
    found: set[str] = set()
    for version in _names(home, ".local", "lib"):
        if version.startswith("python3."):
            matches = (
                _INSTALLED.fullmatch(name) for name in _names(home, ".local", "lib", version, "site-packages")
            )
            found |= {f"{match[1]}=={match[2]}" for match in matches if match}
    return sorted(found)


def _names(home: Path, *parts: str) -> list[str]:
    handle = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if home.is_dir() else -1
    try:
        for part in parts:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=handle)
            os.close(handle)
            handle = inner
        with os.scandir(handle) as entries:
            return sorted(entry.name for entry in entries)[:5000]
    except OSError:
        return []
    finally:
        if handle >= 0:
            os.close(handle)


@transaction.atomic
def retry_environment(environment: Environment, *, by: User) -> Environment:
    """Lock and install a failed environment anew. Raises NotAllowed, IllegalMove, StaleWrite."""
    require(may_make_environment(by, environment.team))
    Environment.lifecycle.move(environment, "locking", by=by, reason="", ended_at=None, steps={})
    InstallOutput.objects.filter(environment=environment).delete()
    _submit(environment, by=by)
    return environment


def _submit(environment: Environment, *, by: User) -> None:
    try:
        job = _locking_job(environment, by=by)
    except PortalError as error:
        _fail(environment, error.message)
        return
    environment.job_id, environment.steps = job.pk, {RESOLVE: timezone.now().isoformat()}
    environment.save(update_fields=["job_id", "steps"])


def _fail(environment: Environment, reason: str) -> None:
    facts = {"reason": reason[:_REASON_LENGTH], "ended_at": timezone.now()}
    Environment.lifecycle.move(environment, "failed", by=None, **facts)


def _locking_job(environment: Environment, *, by: User) -> Job:
    with transaction.atomic():
        return submit_lock(
            JOB_KIND,
            _("Lock the packages of %(name)s") % {"name": environment.name},
            f"{environment.requirements}\n{_base()}",
            by=by,
            team=environment.team,
            subject=environment,
            start_from=environments.lock_text("base"),
        )


def _base() -> str:
    """What the base was made of; every environment has it, so that notebooks and jobs run in each."""
    return (LOCKS / "base.in").read_text(encoding="utf-8")


def when_locked(key: str, facts: dict[str, Any]) -> None:
    """A locking job has ended: keep its lock and install, or say why there is none. May be told twice."""
    if facts.get("kind") != JOB_KIND:
        return
    job = Job.objects.filter(pk=int(key)).first()
    environment = Environment.objects.filter(job_id=int(key), status="locking").first()
    if job is None or environment is None or urn(environment) != job.subject:
        return
    lock = lock_of(job)
    if lock is None:
        _fail(environment, why_no_lock(job)["message"])
        return
    with transaction.atomic():
        facts = {"lock_name": lock.environment, "lock_sha256": lock.sha256}
        Environment.lifecycle.move(environment, "building", by=None, **facts)
        transaction.on_commit(lambda: background.enqueue(INSTALL, environment.pk))


def install_environments() -> None:
    """The safety net: what was locked without anybody being told, and whatever still waits to be installed."""
    locking = Environment.objects.filter(status="locking").values_list("job_id", flat=True)
    for pk in Job.objects.filter(pk__in=list(locking), status__in=Job.ENDED).values_list("pk", flat=True):
        when_locked(str(pk), {"kind": JOB_KIND})
    for pk in Environment.objects.filter(status="building").values_list("pk", flat=True):
        install_environment(pk)


def install_environment(pk: int) -> None:
    """Install one environment, unless somebody else is at it."""
    with turns.only_one(turns.ENVIRONMENT, pk) as alone:
        environment = Environment.objects.filter(pk=pk, status="building").first() if alone else None
        if environment is not None:
            _install(environment)


def _install(environment: Environment) -> None:
    have_lock(environment.lock_name, environment.lock_sha256)
    written = InstallLog(environment)
    written.begin()
    try:
        environments.build(environment.lock_name, say=log.info, watch=written)
    except environments.BuildError as error:
        _fail(environment, str(error))
    else:
        Environment.lifecycle.move(environment, "ready", by=None, ended_at=timezone.now())


def pins_of(environment: Environment) -> Iterable[tuple[str, str]]:
    """(package, version) of a locked environment, by name."""
    if not environment.lock_sha256:
        return []
    with objects.open_object(environment.lock_sha256) as stream:
        return sorted(requirements.pins_of(stream.read().decode()).items())
