"""The second step after ingestion: apply the version's parsing rules to each answered call, once.

Rules are JMESPath expressions over one document that holds the request's `inputs` and the answer's `outputs`;
each gives a field of `parsed`, and the one called `score` the score. A rule that fails gives nothing.
"""

from __future__ import annotations

import logging
from typing import Any

import jmespath
import orjson
from django.db import connection, transaction
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from apps.catalog.models import Version
from apps.core import objects
from apps.core.errors import PortalError
from apps.gateway.models import Call
from apps.instances.models import Deployment

log = logging.getLogger(__name__)

BATCH = 500
RULES_BYTES = 64 << 10
PARSED_BYTES = 64 << 10
SCORE = "score"

Rules = dict[str, ParsedResult]


class Digester:
    """Keeps the compiled rules of the versions that it has met."""

    def __init__(self) -> None:
        self._rules: dict[int, Rules] = {}

    @transaction.atomic
    def digest_some(self) -> int:
        """Digest up to a batch of the oldest undigested calls; returns how many."""
        rows = list(
            Call.objects.filter(digested=False)
            .select_for_update(skip_locked=True)
            .order_by("at")
            .only("request_id", "at", "deployment_id", "request", "response")[:BATCH]
        )
        if not rows:
            return 0
        found = [(row, *self._parse(row)) for row in rows]
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE gateway_call c SET digested = true, parsed = u.parsed::jsonb, score = u.score "
                "FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::float8[]) AS u(id, at, parsed, score) "
                "WHERE c.request_id = u.id AND c.at = u.at",
                [
                    [row.request_id for row, *_ in found],
                    [row.at for row, *_ in found],
                    [parsed for _, parsed, _ in found],
                    [score for *_, score in found],
                ],
            )
        return len(rows)

    def _parse(self, row: Call) -> tuple[str | None, float | None]:
        rules = self._rules_of(row.deployment_id)
        if not rules:
            return None, None
        try:
            document = {**_object(row.request), **_object(row.response)}
        except orjson.JSONDecodeError:
            return None, None
        parsed = apply(rules, document)
        score = parsed.get(SCORE)
        text = orjson.dumps(parsed)
        if len(text) > PARSED_BYTES or b"\\u0000" in text:  # jsonb holds no NUL
            return None, score
        return text.decode(), score

    def _rules_of(self, deployment_id: int | None) -> Rules:
        if deployment_id is None:
            return {}
        if deployment_id not in self._rules:
            deployment = Deployment.objects.select_related("version").filter(pk=deployment_id).first()
            self._rules[deployment_id] = rules_of(deployment.version) if deployment else {}
        return self._rules[deployment_id]


def _object(body: bytes | memoryview | None) -> dict[str, Any]:
    document = orjson.loads(body) if body else {}
    return document if isinstance(document, dict) else {}


def rules_of(version: Version) -> Rules:
    """The compiled parsing rules that the package ships; none when it ships none that can be read."""
    entry = version.manifest.get("parsing.json")
    if not entry or entry.get("size", 0) > RULES_BYTES:
        return {}
    try:
        with objects.open_object(entry["sha256"]) as file:
            raw = orjson.loads(file.read())
    except (PortalError, OSError, orjson.JSONDecodeError) as problem:
        log.warning("the parsing rules of %s cannot be read: %s", version, problem)
        return {}
    return compiled(raw) if isinstance(raw, dict) else {}


def compiled(raw: dict[str, Any]) -> Rules:
    """Rules by name; an expression that is none is left out, with a line in the log."""
    rules: Rules = {}
    for name, expression in raw.items():
        try:
            rules[str(name)] = jmespath.compile(expression)
        except (JMESPathError, TypeError) as problem:
            log.warning("the parsing rule %s is no expression: %s", name, problem)
    return rules


def apply(rules: Rules, document: dict[str, Any]) -> dict[str, Any]:
    """The fields that the rules find; the score is a finite number or missing."""
    parsed: dict[str, Any] = {}
    for name, rule in rules.items():
        try:
            value = rule.search(document)
        except (JMESPathError, TypeError, ValueError, RecursionError):
            continue
        if name == SCORE:
            if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
                continue
            value = float(value)
        if value is not None:
            parsed[name] = value
    return parsed
