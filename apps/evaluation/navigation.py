"""Where evaluation stands in the menu."""

from django.utils.translation import gettext_lazy as _

from apps.core.menu import MenuItem
from apps.core.menu import register as register_item
from apps.core.naming import register_rows
from apps.evaluation.selectors import reports_visible_to, runs_visible_to


def register() -> None:
    """Add the entries; called once when the app is ready."""
    register_rows("evaluation.run", _("evaluation"), runs_visible_to, "evaluation:run")
    register_rows("evaluation.report", _("report"), reports_visible_to, "evaluation:report")
    roles = frozenset({"developer", "qa", "operator"})
    register_item(MenuItem(_("Quality"), _("Evaluations"), "evaluation:list", "report-analytics", roles, 100))
