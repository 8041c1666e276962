"""REST addresses of releases."""

from rest_framework.routers import SimpleRouter

from apps.releases.api import BypassViewSet, PolicyViewSet, ReleaseViewSet, ReplayViewSet, RerunViewSet

router = SimpleRouter()
router.register("releases", ReleaseViewSet, basename="release")
router.register("bypasses", BypassViewSet, basename="bypass")
router.register("replays", ReplayViewSet, basename="replay")
router.register("reruns", RerunViewSet, basename="rerun")
router.register("release-policies", PolicyViewSet, basename="release-policy")
urlpatterns = router.urls
