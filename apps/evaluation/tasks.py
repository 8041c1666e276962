"""What evaluation does in the background."""

from apps.core import background
from apps.evaluation import runs


@background.every(5, "evaluation.proceed_all")
def proceed_all() -> None:
    """Take up evaluations whose event was lost."""
    runs.proceed_all()
