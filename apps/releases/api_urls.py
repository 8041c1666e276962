"""REST addresses of releases."""

from rest_framework.routers import SimpleRouter

from apps.releases.api import (
    BypassViewSet,
    FindingViewSet,
    PolicyViewSet,
    ReleaseViewSet,
    ReplayViewSet,
    RerunViewSet,
)

router = SimpleRouter()
router.register("releases", ReleaseViewSet, basename="release")
router.register("findings", FindingViewSet, basename="finding")
router.register("bypasses", BypassViewSet, basename="bypass")
router.register("replays", ReplayViewSet, basename="replay")
router.register("reruns", RerunViewSet, basename="rerun")
router.register("release-policies", PolicyViewSet, basename="release-policy")
urlpatterns = router.urls
