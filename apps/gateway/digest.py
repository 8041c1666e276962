"""The second step after ingestion: apply the version's parsing rules to each answered call, once.

What rules are stands in `atrium.parsing`. The revision that is the newest when a batch begins counts for all of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import orjson
from django.db import connection, transaction

from apps.catalog.models import Version
from apps.catalog.selectors import newest_revisions, rules_of
from apps.catalog.services import Failed, note_failures
from apps.gateway import late
from apps.gateway.models import Call, Grant
from apps.instances.models import Deployment
from atrium.parsing import SCORE, Rules, apply_rules, compile_rules

BATCH = 500
PARSED_BYTES = 64 << 10


class Digester:
    """Keeps the compiled rules of the versions that it has met, by revision."""

    def __init__(self) -> None:
        self._versions: dict[int, int] = {}
        self._rules: dict[int, tuple[int, Rules]] = {}
        self._failed: dict[int, dict[str, Failed]] = {}
        self._own: dict[int, bool] = {}

    @transaction.atomic
    def digest_some(self) -> int:
        """Digest up to a batch of the oldest undigested calls; returns how many."""
        rows = list(
            Call.objects.filter(digested=False)
            .select_for_update(skip_locked=True)
            .order_by("at")
            .only("request_id", "at", "capability_id", "deployment_id", "grant_id", "request", "response")[
                :BATCH
            ]
        )
        if not rows:
            return 0
        self._learn({row.deployment_id for row in rows if row.deployment_id is not None})
        self._failed = {}
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
        self._report()
        late.note((row.capability_id, row.at) for row in rows)
        return len(rows)

    def _learn(self, deployments: Iterable[int]) -> None:
        """Read the rules of the deployments' versions that are new here, or have a newer revision."""
        unknown = [pk for pk in deployments if pk not in self._versions]
        self._versions |= dict(Deployment.objects.filter(pk__in=unknown).values_list("pk", "version_id"))
        versions = {self._versions[pk] for pk in deployments if pk in self._versions}
        newest = newest_revisions(versions)
        stale = [pk for pk in versions if self._rules.get(pk, (-1,))[0] != newest.get(pk, 0)]
        for version in Version.objects.filter(pk__in=stale):
            found = rules_of(version)
            self._rules[version.pk] = (found.revision, compile_rules(found.rules))

    def _parse(self, row: Call) -> tuple[str | None, float | None]:
        version = self._versions.get(row.deployment_id or 0)
        _revision, rules = self._rules.get(version or 0, (0, None))
        if not rules:
            return None, None
        try:
            document = {**_object(row.request), **_object(row.response)}
        except orjson.JSONDecodeError:
            return None, None
        wrong: dict[str, str] = {}
        parsed = apply_rules(rules, document, wrong)
        score = parsed.get(SCORE)
        text = orjson.dumps(parsed)
        has_nul = b"\\u0000" in text  # jsonb holds none
        too_large = len(text) > PARSED_BYTES
        if has_nul:
            wrong[""] = "what they find cannot be kept: there is a NUL in it"
        elif too_large and len(text) > PARSED_BYTES * _rows(document):  # of many rows it is no wonder
            wrong[""] = f"what they find cannot be kept: {len(text)} bytes of at most {PARSED_BYTES}"
        for name, error in wrong.items():
            self._note(version or 0, name, row, error)
        return None if has_nul or too_large else text.decode(), score

    def _note(self, version: int, rule: str, row: Call, error: str) -> None:
        """Count a call that a rule could not be applied to; the rows come in the order of time."""
        if self._asked_by_the_portal(row.grant_id):
            return  # thousands of rows in one call say nothing of the rules
        failed = self._failed.setdefault(version, {})
        if (before := failed.get(rule)) is None:
            failed[rule] = Failed(rule, 1, row.request_id, row.at, row.at, error)
        else:
            failed[rule] = replace(before, calls=before.calls + 1, last_at=row.at)

    def _asked_by_the_portal(self, grant: int | None) -> bool:
        """Whether the key was made for an evaluation; asked once for each key whose call has failed."""
        if grant is None:
            return False
        if grant not in self._own:
            self._own[grant] = Grant.objects.filter(pk=grant, kind=Grant.Kind.EVALUATION).exists()
        return self._own[grant]

    def _report(self) -> None:
        for version in Version.objects.select_related("capability", "created_by").filter(pk__in=self._failed):
            revision, _rules = self._rules[version.pk]
            note_failures(version, revision, self._failed[version.pk].values())


def _rows(document: dict[str, Any]) -> int:
    """How many rows a call asks about: as many as its first input and its first output both have, else 1.

    A request that lies in a file has no inputs here: the output alone says it then.
    """
    answered = _length(document, "outputs")
    asked = _length(document, "inputs") if "inputs" in document else answered
    return answered if asked == answered else 1


def _length(document: dict[str, Any], which: str) -> int:
    """The first number of the first tensor's shape; 1 where there is none."""
    try:
        return max(1, int(document[which][0]["shape"][0]))
    except (LookupError, TypeError, ValueError):
        return 1


def _object(body: bytes | memoryview | None) -> dict[str, Any]:
    document = orjson.loads(body) if body else {}
    return document if isinstance(document, dict) else {}
