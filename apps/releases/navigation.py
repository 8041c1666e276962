"""Where releases stand in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.core.menu import MenuItem
from apps.core.menu import register as register_item


def register() -> None:
    """Add the entries; called once when the app is ready."""
    register_item(
        MenuItem("quality", _("QA inbox"), "releases:inbox", "clipboard-check", frozenset({"qa"}), 20)
    )
    roles = frozenset({"developer", "qa", "operator"})
    register_item(MenuItem("operations", _("Releases"), "releases:list", "rocket", roles, 70))
