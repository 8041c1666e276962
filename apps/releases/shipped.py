"""The cases that a version ships, asked of the served endpoint over the gateway before it gets any traffic."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.core.errors import Unavailable
from apps.evaluation.selectors import cases_of
from apps.gateway import reach
from apps.gateway.models import Grant
from apps.gateway.services import create_grant, revoke_grant
from atrium import errors
from atrium.http import Http

if TYPE_CHECKING:
    from apps.instances.models import Deployment

TIME_LIMIT_S = 10.0
MOST_CASES = 200
KEY_LIVES = timedelta(hours=1)


def run_cases(deployment: Deployment) -> list[dict[str, Any]]:
    """`[{"name", "passed", "message"}]` of each shipped case. Raises Unavailable when the gateway is away."""
    cases = cases_of(deployment.version)[:MOST_CASES]
    if not cases:
        return []
    if not reach.answers():  # asked again every two seconds: no key is made and audited for nothing
        raise Unavailable(_("The gateway does not answer."))
    grant, key = create_grant(
        kind=Grant.Kind.EVALUATION,
        capability=deployment.capability,
        team=deployment.capability.team,
        user=deployment.created_by,
        scope=f"deployment:{deployment.pk}",
        label=f"shipped cases {deployment.pk}",
        expires_at=timezone.now() + KEY_LIVES,  # should a kill leave it behind
        by=deployment.created_by,
    )
    slug, number = deployment.capability.slug, deployment.version.number
    http = Http(settings.ATRIUM.gateway_url, timeout_s=TIME_LIMIT_S, token=key)
    try:
        return [_ask(http, f"/v2/models/{slug}/versions/{number}/infer", case) for case in cases]
    except (errors.ConnectionLost, errors.Unavailable, errors.Limited, errors.Unauthorised) as error:
        raise Unavailable(_("The gateway does not answer: %(why)s") % {"why": error}) from error
    finally:
        revoke_grant(grant, by=None)


def _ask(http: Http, path: str, case: dict[str, Any]) -> dict[str, Any]:
    away = (errors.ConnectionLost, errors.Unavailable, errors.Limited, errors.Unauthorised)
    try:
        answer = http.json("POST", path, {"inputs": case["inputs"]})
    except away:
        raise
    except errors.AtriumError as error:
        return {"name": case["name"], "passed": False, "message": str(error)[:300]}
    given = {output["name"]: output for output in answer.get("outputs", [])}
    for expected in case["expected"]:
        output = given.get(expected["name"])
        if output is None or not agree(expected["data"], output["data"], float(case.get("tolerance", 1e-5))):
            told = _("output “%(name)s” differs") % {"name": expected["name"]}
            return {"name": case["name"], "passed": False, "message": told}
    return {"name": case["name"], "passed": True, "message": ""}


def agree(expected: Any, given: Any, tolerance: float) -> bool:
    """Whether two nested lists hold the same values, numbers within the tolerance; NaN equals nothing."""
    left, right = _flat(expected), _flat(given)
    if len(left) != len(right):
        return False
    return all(_same(a, b, tolerance) for a, b in zip(left, right, strict=True))


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list):
        return [leaf for value in values for leaf in _flat(value)]
    return [values]


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=0, abs_tol=tolerance)
    return bool(a == b)
