"""Where evaluation stands in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.core.menu import MenuItem
from apps.core.menu import register as register_item


def register() -> None:
    """Add the entries; called once when the app is ready."""
    roles = frozenset({"developer", "qa", "operator"})
    register_item(MenuItem(_("Quality"), _("Evaluations"), "evaluation:list", "report-analytics", roles, 100))
