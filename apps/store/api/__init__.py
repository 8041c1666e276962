"""REST: the store's listings, plans, subscriptions, keys."""

from apps.store.api.listings import ListingViewSet
from apps.store.api.subscriptions import PlanViewSet, SubscriptionViewSet

__all__ = ["ListingViewSet", "PlanViewSet", "SubscriptionViewSet"]
