"""What the store does in the background."""

from apps.core import background
from apps.store import services


@background.every(10, "store.expire_due")
def expire_due() -> None:
    """End subscriptions whose time is over. Their keys carry the same end, so calls stop on the second."""
    services.expire_due()
