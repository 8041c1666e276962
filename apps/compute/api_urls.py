"""REST addresses of jobs, nodes and the sandboxes' network, below /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.compute import api

router = SimpleRouter()
router.register("jobs", api.JobViewSet, basename="api-job")
router.register("nodes", api.NodeViewSet, basename="api-node")
router.register("allowed-hosts", api.AllowedHostViewSet, basename="api-allowed-host")
router.register("network-use", api.EgressViewSet, basename="api-network-use")

urlpatterns = [
    path("machine/", api.MachineView.as_view(), name="api-machine"),
    path("", include(router.urls)),
]
