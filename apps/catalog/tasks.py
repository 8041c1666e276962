"""What the catalog does in the background."""

from apps.catalog.services import reconcile_packaging
from apps.core import background


@background.every(10, "catalog.reconcile_packaging")
def repair_packaging() -> None:
    """Take the results of packaging jobs whose event was lost."""
    reconcile_packaging()
