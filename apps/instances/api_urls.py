"""REST addresses of instances, below /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.instances import api

router = SimpleRouter()
router.register("deployments", api.DeploymentViewSet, basename="api-deployment")

urlpatterns = [
    path("traffic/<slug:slug>/", api.WeightsView.as_view(), name="api-traffic"),
    path("traffic/<slug:slug>/shadow/", api.ShadowView.as_view(), name="api-shadow"),
    path("", include(router.urls)),
]
