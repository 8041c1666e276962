"""A logged call, asked again of one deployment over the gateway, under the rules for its sensitive fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings

from apps.core.errors import Unavailable
from apps.core.telling import say as _
from apps.gateway.models import Call, Grant
from apps.gateway.sealed import has_sealed, open_document, rules_of
from apps.gateway.services import create_grant, documents_of, revoke_grant
from apps.releases.differences import Difference, compare, flat
from atrium import errors, jsontext
from atrium.http import Http

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version
    from apps.instances.models import Deployment

TIME_LIMIT_S = 10.0
MOST_BYTES = 8 << 20
_AWAY = (errors.ConnectionLost, errors.Unavailable, errors.Limited, errors.Unauthorised)


class NotAskable(ValueError):
    """This call cannot be asked again; the message says why."""


@dataclass(frozen=True)
class Answered:
    """What a deployment said this time; `failure` in place of a difference where it gave no answer."""

    difference: Difference | None
    answer_id: UUID | None
    failure: str = ""
    outputs: Sequence[dict[str, Any]] = ()


@contextmanager
def line_to(deployment: Deployment, *, for_: str, by: User | None) -> Iterator[Http]:
    """A connection with a key of its own for this deployment, which ends with the block."""
    grant, key = create_grant(
        kind=Grant.Kind.EVALUATION,
        capability=deployment.capability,
        team=deployment.capability.team,
        user=by,
        scope=f"deployment:{deployment.pk}",
        label=for_,
        by=by,
    )
    try:
        yield Http(settings.ATRIUM.gateway_url, timeout_s=TIME_LIMIT_S, token=key)
    finally:
        revoke_grant(grant, by=None)


def ask_again(http: Http, call: Call, asked_of: Version, answered_by: Version | None) -> Answered:
    """Ask it and compare the answer with the one in the log.

    Encrypted fields are read in memory alone, and only for a version that protects them as well.
    Raises NotAskable, Unavailable when the gateway is away.
    """
    inputs, before = _question(call, asked_of, answered_by)
    path = f"/v2/models/{asked_of.capability.slug}/versions/{asked_of.number}/infer"
    try:
        answer = http.request(
            "POST", path, jsontext.dumps({"inputs": inputs}), {"Content-Type": "application/json"}
        )
    except _AWAY as error:
        raise Unavailable(_("The gateway does not answer: %(why)s") % {"why": error}) from error
    except errors.AtriumError as error:
        return Answered(None, _uuid(error.request_id), str(error)[:300])
    said = answer.json().get("outputs", [])
    return Answered(compare(before, said), _uuid(answer.headers.get("x-request-id")), outputs=said)


def _question(
    call: Call, asked_of: Version, answered_by: Version | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The inputs and the outputs as the log has them."""
    found = documents_of(call, MOST_BYTES)
    if any(map(has_sealed, found.values())):
        if answered_by is None or not protects(asked_of, answered_by):
            raise NotAskable(_("This version would not protect fields that are encrypted in the log."))
        found = {which: open_document(document, call.request_id) for which, document in found.items()}
    inputs = _tensors(found["request"], "inputs")
    outputs = _tensors(found["response"], "outputs")
    if inputs is None:
        raise NotAskable(_("The log does not hold all that was asked: a field is not kept, or no more."))
    if outputs is None:
        raise NotAskable(_("The log does not hold the answer that was given."))
    return [_only(tensor) for tensor in inputs], outputs


def _tensors(document: Any, key: str) -> list[dict[str, Any]] | None:
    tensors = document.get(key) if isinstance(document, dict) else None
    if not isinstance(tensors, list) or not tensors:
        return None
    kept = all(isinstance(each, dict) and "data" in each for each in tensors)
    # A sensitive column that was dropped stands in the log as null.
    return tensors if kept and not any(None in flat(each["data"]) for each in tensors) else None


def _only(tensor: dict[str, Any]) -> dict[str, Any]:
    return {name: tensor[name] for name in ("name", "shape", "datatype", "data") if name in tensor}


def protects(new: Version, old: Version) -> bool:
    """Whether everything that the old version's signature calls sensitive is so for the new one too."""
    mine, others = rules_of(new.signature), rules_of(old.signature)
    return all(
        name in mine.get(key, {}) and _covers(mine[key][name], rule)
        for key, rules in others.items()
        for name, rule in rules.items()
    )


def _covers(mine: Any, other: Any) -> bool:
    """A whole tensor covers everything in it; columns cover the same columns."""
    if isinstance(mine, dict):
        return isinstance(other, dict) and mine["names"].keys() >= other["names"].keys()
    return True


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
