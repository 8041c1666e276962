"""What data sets do in the background."""

from apps.core import background
from apps.datasets import services
from apps.datasets.services.comparisons import WORK_OUT, work_out_waiting


@background.task(WORK_OUT)
def compare(pk: int) -> None:
    """Work out one comparison of two versions."""
    services.work_out(pk)


@background.every(60, "datasets.compare_waiting")
def compare_waiting() -> None:
    """Take up comparisons whose task was lost."""
    work_out_waiting()
