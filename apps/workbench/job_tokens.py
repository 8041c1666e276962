"""A job with a door carries a token of whoever submitted it. It ends with the job."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from apps.accounts.models import PersonalToken
from apps.accounts.services import create_token, revoke_token
from apps.workbench.launch import door_environment

if TYPE_CHECKING:
    from apps.compute.models import Job

_AFTERWARDS = timedelta(minutes=10)


def variables_of(job: Job) -> dict[str, str]:
    """The environment that leads through the door, with a fresh token; nothing for a job without a door."""
    person = job.created_by
    if job.network != "forwarder" or person is None:
        return {}
    expires = timezone.now() + timedelta(seconds=job.timeout_s) + _AFTERWARDS
    _row, secret = create_token(person, f"job {job.pk}", by=person, expires_at=expires, job_id=job.pk)
    return {**door_environment(secret), "ATRIUM_TEAM": job.team.slug}


def revoke_tokens(key: str, facts: dict[str, Any]) -> None:
    """End the tokens of a job that has ended."""
    for token in PersonalToken.objects.filter(job_id=int(key), revoked_at=None).select_related("user"):
        revoke_token(token, by=token.user)
