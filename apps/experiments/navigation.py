"""Where experiments stand in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.core.menu import MenuItem
from apps.core.menu import register as register_item
from apps.core.naming import register_rows
from apps.experiments.selectors import experiments_visible_to


def register() -> None:
    """Add the entry; called once when the app is ready."""
    register_rows("experiments.experiment", _("experiment"), experiments_visible_to, "experiments:detail")
    roles = frozenset({"developer", "qa", "operator"})
    register_item(MenuItem(_("Operations"), _("A/B experiments"), "experiments:list", "flask", roles, 295))
