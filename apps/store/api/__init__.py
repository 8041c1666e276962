"""REST: the store's listings, plans, subscriptions, keys, demands, Try it."""

from apps.store.api.cases import SavedCaseViewSet
from apps.store.api.demands import DemandViewSet
from apps.store.api.listings import ListingViewSet
from apps.store.api.subscriptions import PlanViewSet, SubscriptionViewSet
from apps.store.api.trial import TryOutViewSet

__all__ = [
    "DemandViewSet",
    "ListingViewSet",
    "PlanViewSet",
    "SavedCaseViewSet",
    "SubscriptionViewSet",
    "TryOutViewSet",
]
