"""Keys to test deployments, for their own team. The app that keeps keys registers how one is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.utils.translation import gettext as _

from apps.core import objects
from apps.core.errors import PortalError, Unavailable
from apps.core.policy import Verdict, allow, deny, require
from apps.instances.models import Deployment
from apps.instances.policy import may_view

if TYPE_CHECKING:
    from apps.accounts.models import User

Maker = Callable[[Deployment, "User"], str]
_maker: Maker | None = None
_LARGEST_EXAMPLE = 6_000


def register(maker: Maker) -> None:
    """Say how a key is made, called as `maker(deployment, user)`; it returns the secret. For a `ready()`."""
    global _maker
    _maker = maker


def may_make(actor: User, deployment: Deployment) -> Verdict:
    """The team's developers, QA engineers and operators, for test deployments that run."""
    if deployment.kind != Deployment.Kind.TEST:
        return deny(_("Production is called with the key of a subscription."))
    if deployment.desired != Deployment.Desired.RUNNING:
        return deny(_("This deployment is stopped. Start it first."))
    if _maker is None:
        return deny(_("No gateway is installed here."))
    return may_view(actor, deployment) and allow()


def make(deployment: Deployment, *, by: User) -> str:
    """Make a key that reaches this deployment only. Raises NotAllowed, Unavailable."""
    require(may_make(by, deployment))
    if _maker is None:
        raise Unavailable(_("No gateway is installed here."))
    return _maker(deployment, by)


def curl_line(deployment: Deployment, secret: str) -> str:
    """One line that calls the deployment with an input that fits its signature."""
    body = json.dumps({"inputs": _example(deployment)}, ensure_ascii=False).replace("'", "'\\''")
    address = f"{settings.ATRIUM.gateway_url}/v2/models/{deployment.capability.slug}/infer"
    return (
        f"curl -sS {address} \\\n  -H 'Authorization: Bearer {secret}' \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    )


def _example(deployment: Deployment) -> list[dict[str, Any]]:
    """The inputs of the first shipped case, if they are small, else neutral ones."""
    entry = deployment.version.manifest.get("cases.json")
    if entry is not None:
        try:
            with objects.open_object(entry["sha256"]) as stream:
                cases = json.loads(stream.read(8 << 20))
            inputs = list(cases[0]["inputs"])
        except (PortalError, ValueError, LookupError, TypeError):
            inputs = []
        if inputs and len(json.dumps(inputs)) <= _LARGEST_EXAMPLE:
            return inputs
    return [_neutral(tensor) for tensor in deployment.version.signature.get("inputs") or []]


def _neutral(tensor: dict[str, Any]) -> dict[str, Any]:
    shape = [1 if size == -1 else size for size in tensor["shape"]]
    count = 1
    for size in shape:
        count *= size
    fill: Any = "" if tensor["datatype"] == "BYTES" else False if tensor["datatype"] == "BOOL" else 0
    return {"name": tensor["name"], "datatype": tensor["datatype"], "shape": shape, "data": [fill] * count}
