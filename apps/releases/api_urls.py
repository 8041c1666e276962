"""REST addresses of releases."""

from rest_framework.routers import SimpleRouter

from apps.releases.api import BypassViewSet, ReleaseViewSet

router = SimpleRouter()
router.register("releases", ReleaseViewSet, basename="release")
router.register("bypasses", BypassViewSet, basename="bypass")
urlpatterns = router.urls
