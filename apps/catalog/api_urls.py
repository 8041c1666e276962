"""REST addresses of the catalog, below /api/v1/."""

from django.urls import include, path, re_path
from rest_framework.routers import SimpleRouter

from apps.catalog import api

router = SimpleRouter()
router.register("capabilities", api.CapabilityViewSet, basename="api-capability")
router.register("versions", api.VersionViewSet, basename="api-version")

urlpatterns = [
    re_path(r"^objects/(?P<sha256>[0-9a-f]{64})/$", api.ObjectView.as_view(), name="api-object"),
    path("", include(router.urls)),
]
