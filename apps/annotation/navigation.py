"""Where annotation stands in the menu."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.annotation.selectors import projects_visible_to, retraining_rules_visible_to
from apps.core import statuses
from apps.core.menu import MenuItem, register_landing
from apps.core.menu import register as register_item
from apps.core.naming import register as register_names
from apps.core.naming import register_rows

if TYPE_CHECKING:
    from collections.abc import Collection


def register() -> None:
    """Add the entries; called once when the app is ready."""
    register_rows("annotation.project", _("annotation project"), projects_visible_to, "annotation:detail")
    register_names("annotation.retrainingrule", _("retraining rule"), _rules)
    statuses.register("busy", "refresh", "retrain")
    statuses.register("good", "rocket", "release")
    roles = frozenset({"annotator", "developer", "qa"})
    register_item(MenuItem(_("Quality"), _("Annotation"), "annotation:list", "tags", roles, 120))
    told = frozenset({"consumer", "developer", "qa"})
    register_item(MenuItem(_("Store"), _("Feedback"), "annotation:feedback", "message-check", told, 60))
    register_landing("annotator", "annotation:list")


def _rules(pks: Collection[int], user: Any) -> dict[int, tuple[str, str]]:
    rows = retraining_rules_visible_to(user).filter(pk__in=pks) if user.is_authenticated else ()
    return {
        row.pk: (str(row), reverse("annotation:retraining-rule", args=[row.capability.slug])) for row in rows
    }
