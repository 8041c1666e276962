"""Parsing rules of a version: the ones that its package ships, and the revisions that were made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Greatest
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.catalog.models import ParsingRules, RuleFailure
from apps.catalog.policy import may_edit_parsing_rules
from apps.catalog.selectors import rules_of
from apps.core import audit
from apps.core.errors import Invalid, StaleWrite
from apps.core.events import publish
from apps.core.policy import require
from apps.requests.notifications import notify
from atrium.parsing import InvalidRules, read_rules

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version

LONGEST_NOTE = 240
LONGEST_ERROR = 300


@dataclass(frozen=True, slots=True)
class Failed:
    """Some calls that one rule could not be applied to: how many, the first of them, and what was wrong with it."""

    rule: str
    calls: int
    first_call: UUID
    first_at: datetime
    last_at: datetime
    error: str


@transaction.atomic
def set_parsing_rules(
    version: Version, rules: Mapping[str, Any], *, by: User, note: str = "", seen: int | None = None
) -> ParsingRules | None:
    """Read a version's calls by these rules from now on, as its next revision; None when they are the same.

    `seen` is the revision that the writer started from. Raises NotAllowed, Invalid naming each wrong rule, and
    StaleWrite when somebody else wrote a revision meanwhile.
    """
    require(may_edit_parsing_rules(by, version))
    checked = check_rules(rules)
    if len(note) > LONGEST_NOTE:
        raise Invalid(
            _("The reason is longer than %(most)d characters.") % {"most": LONGEST_NOTE},
            fields={"note": _("is longer than %(most)d characters") % {"most": LONGEST_NOTE}},
        )
    current = rules_of(version)
    if seen is not None and seen != current.revision:
        raise _stale(version)
    if checked == current.rules:
        return None
    try:
        with transaction.atomic():
            made = ParsingRules.objects.create(
                version=version,
                revision=current.revision + 1,
                rules=checked,
                note=note.strip(),
                created_by=by,
            )
    except IntegrityError as error:
        raise _stale(version) from error
    audit.record(
        "catalog.version.parsing_rules_set",
        version,
        by=by,
        revision=made.revision,
        before=current.rules,
        after=checked,
    )
    publish("catalog.parsing_rules_changed", version.pk, revision=made.revision)
    return made


def check_rules(rules: Mapping[str, Any]) -> dict[str, str]:
    """The rules as they are kept. Raises Invalid with what is wrong by the name of the rule."""
    try:
        return read_rules(rules)
    except InvalidRules as error:
        raise Invalid(
            _("The parsing rules cannot be taken: %(why)s.") % {"why": error},
            fields=error.wrong or {"rules": str(error)},
        ) from error


def _stale(version: Version) -> StaleWrite:
    return StaleWrite(
        _("Somebody else changed the parsing rules of %(version)s meanwhile. Load them again.")
        % {"version": version}
    )


@transaction.atomic
def note_failures(version: Version, revision: int, failures: Iterable[Failed]) -> None:
    """Count calls that rules of a revision could not be applied to; their author hears of it once per revision."""
    found = sorted(failures, key=lambda each: each.rule)
    if not found:
        return
    known = set(version.rule_failures.filter(revision=revision).values_list("rule", flat=True))
    for each in found:
        facts = {"calls": each.calls, "first_call": each.first_call, "first_at": each.first_at}
        row, made = RuleFailure.objects.get_or_create(
            version=version,
            revision=revision,
            rule=each.rule,
            defaults=facts | {"last_at": each.last_at, "error": _kept(each.error)},
        )
        if not made:
            RuleFailure.objects.filter(pk=row.pk).update(
                calls=F("calls") + each.calls, last_at=Greatest("last_at", each.last_at)
            )
    if not known:
        _tell_author(version, revision, found)


def _kept(error: str) -> str:
    """The error as a row can hold it: it may quote the call, and no text in the database has a NUL."""
    return error.replace("\x00", "\N{REPLACEMENT CHARACTER}")[:LONGEST_ERROR]


def _tell_author(version: Version, revision: int, found: list[Failed]) -> None:
    written = version.parsing_rules.select_related("created_by").filter(revision=revision).first()
    notify(
        [written.created_by if written else version.created_by],
        lambda: (
            _("Parsing rules of %(version)s fail: %(rules)s")
            % {"version": version, "rules": ", ".join(each.rule or _("all of them") for each in found)}
        ),
        url=reverse("catalog:parsing", args=[version.capability.slug, version.number]),
        body=lambda: (
            _("In call %(call)s: %(why)s") % {"call": found[0].first_call, "why": _kept(found[0].error)}
        ),
    )
