"""Where annotation stands in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.annotation.selectors import projects_visible_to
from apps.core.menu import MenuItem, register_landing
from apps.core.menu import register as register_item
from apps.core.naming import register_rows


def register() -> None:
    """Add the entries; called once when the app is ready."""
    register_rows("annotation.project", _("annotation project"), projects_visible_to, "annotation:detail")
    roles = frozenset({"annotator", "developer", "qa"})
    register_item(MenuItem(_("Quality"), _("Annotation"), "annotation:list", "tags", roles, 120))
    told = frozenset({"consumer", "developer", "qa"})
    register_item(MenuItem(_("Store"), _("Feedback"), "annotation:feedback", "message-check", told, 60))
    register_landing("annotator", "annotation:list")
