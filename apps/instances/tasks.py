"""What instances does in the background."""

from django.utils import timezone

from apps.core import background
from apps.instances import pins, reconcile
from apps.instances.packages import remove_unused_packages
from apps.instances.services import RECONCILE


@background.task(RECONCILE)
def reconcile_deployment(pk: int) -> None:
    """Work on one deployment right after somebody wanted something of it."""
    reconcile.reconcile_deployment(pk)


@background.every(1, "instances.reconcile")
def reconcile_all() -> None:
    """The loop that makes deployments true, one round at a time."""
    reconcile.reconcile()


@background.every(3600, "instances.remove_unused_packages")
def tidy_packages() -> None:
    """Stored objects stay; a package is laid out again when it is needed."""
    remove_unused_packages()


@background.every(60, "instances.end_expired_pins")
def end_expired_pins() -> None:
    """Callers whose time with an older version is over follow the shares again."""
    pins.end_expired(timezone.now())
