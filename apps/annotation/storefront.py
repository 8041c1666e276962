"""What annotation adds to the store's pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.urls import reverse
from django.utils.translation import gettext as _

from apps.store.panels import Link, register_subscription_link

if TYPE_CHECKING:
    from apps.store.models import Subscription


def register() -> None:
    """Called once when the app is ready."""
    register_subscription_link("feedback", _feedback)


def _feedback(subscription: Subscription) -> Link:
    """What was said about the answers that a subscription got, and what came of it."""
    return Link(
        _("Feedback"), f"{reverse('annotation:feedback')}?subscription={subscription.pk}", "message-check"
    )
