"""REST addresses of experiments."""

from rest_framework.routers import SimpleRouter

from apps.experiments.api import ExperimentViewSet

router = SimpleRouter()
router.register("ab-experiments", ExperimentViewSet, basename="experiment")
urlpatterns = router.urls
