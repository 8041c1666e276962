"""Reads of cases: what may be asked of a test deployment."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from apps.accounts.policy import is_platform_admin, team_ids_of
from apps.catalog.policy import BUILDERS
from apps.core import objects
from apps.core.errors import NotFound
from apps.instances.models import Deployment
from apps.instances.policy import may_view
from apps.store.models import CaseResult, SavedCase
from atrium.package import CASES

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from apps.accounts.models import User
    from apps.catalog.models import Version

MOST_CASES = 200


def saved_cases(user: User, capability: str = "") -> QuerySet[SavedCase]:
    """The saved cases of what a person builds, or of one capability of it."""
    rows = SavedCase.objects.select_related("capability__team", "created_by")
    if not is_platform_admin(user):
        rows = rows.filter(capability__team__in=team_ids_of(user, *BUILDERS))
    return rows.filter(capability__slug=capability) if capability else rows


def test_deployment(user: User, pk: int) -> Deployment:
    """A test deployment. Raises NotFound for what the person may not know of."""
    rows = Deployment.objects.select_related("capability__team", "version__capability__team", "site")
    deployment = rows.filter(pk=pk, kind=Deployment.Kind.TEST).first()
    if deployment is None or not may_view(user, deployment):
        raise NotFound(_("There is no test deployment %(pk)d that you may see.") % {"pk": pk})
    return deployment


def shipped_cases(version: Version) -> list[dict[str, Any]]:
    """All cases in a version's package."""
    entry = (version.manifest or {}).get(CASES)
    if not entry or not objects.exists(entry["sha256"]):
        return []
    with objects.open_object(entry["sha256"]) as stream:
        cases = json.loads(stream.read())
    return cases if isinstance(cases, list) else []


def cases_to_run(deployment: Deployment) -> list[dict[str, Any]]:
    """The saved cases of its capability, newest first, then those shipped with its version; at most MOST_CASES.

    Each is as cases.json has it, with `saved`, the SavedCase or None, and `key`, which names it on the page.
    """
    saved = deployment.capability.saved_cases.select_related("created_by").order_by("-pk")
    rows = [{**each.to_json(), "saved": each, "key": f"saved-{each.pk}"} for each in saved]
    for at, case in enumerate(shipped_cases(deployment.version)):
        rows.append({**case, "saved": None, "key": f"shipped-{at}"})
    return rows[:MOST_CASES]


def results_of(deployment: Deployment) -> dict[str, CaseResult]:
    """{key of a case: how it went when it was last asked}, with who asked."""
    found = CaseResult.objects.filter(deployment=deployment).select_related("by")
    return {row.key: row for row in found}
