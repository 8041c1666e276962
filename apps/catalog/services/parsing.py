"""Parsing rules of a version: the ones that its package ships, and the revisions that were made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from apps.catalog.models import ParsingRules
from apps.catalog.policy import may_edit_parsing_rules
from apps.catalog.selectors import rules_of
from apps.core import audit
from apps.core.errors import Invalid, StaleWrite
from apps.core.events import publish
from apps.core.policy import require
from atrium.parsing import InvalidRules, read_rules

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.catalog.models import Version

LONGEST_NOTE = 240


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
