"""REST addresses of jobs, below /api/v1/."""

from rest_framework.routers import SimpleRouter

from apps.compute import api

router = SimpleRouter()
router.register("jobs", api.JobViewSet, basename="api-job")

urlpatterns = router.urls
