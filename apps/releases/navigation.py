"""Where releases stand in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.core.menu import MenuItem, register_landing
from apps.core.menu import register as register_item
from apps.core.naming import register_rows
from apps.releases.selectors import releases_visible_to


def register() -> None:
    """Add the entries; called once when the app is ready."""
    register_rows("releases.release", _("release"), releases_visible_to, "releases:detail")
    register_item(
        MenuItem(_("Quality"), _("QA inbox"), "releases:inbox", "clipboard-check", frozenset({"qa"}), 90)
    )
    roles = frozenset({"developer", "qa", "operator"})
    register_item(MenuItem(_("Operations"), _("Releases"), "releases:list", "rocket", roles, 290))
    register_item(MenuItem(_("Store"), _("New versions"), "releases:replays", "git-compare", order=22))
    register_landing("qa", "releases:inbox")
