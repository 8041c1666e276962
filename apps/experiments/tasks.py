"""What experiments do in the background."""

from apps.core import background
from apps.experiments import services


@background.every(10, "experiments.look_at_all")
def look_at_all() -> None:
    """Ask the guard again, and count what the log has."""
    services.look_at_all()
