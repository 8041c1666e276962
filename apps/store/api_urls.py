"""REST addresses of the store, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from apps.store import api

router = SimpleRouter()
router.register("store", api.ListingViewSet, basename="api-store")
router.register("store", api.TryOutViewSet, basename="api-try")
router.register("demands", api.DemandViewSet, basename="api-demand")
router.register("saved-cases", api.SavedCaseViewSet, basename="api-saved-case")
router.register("plans", api.PlanViewSet, basename="api-plan")
router.register("subscriptions", api.SubscriptionViewSet, basename="api-subscription")

urlpatterns = router.urls
