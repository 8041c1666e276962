"""REST addresses of data sets, below /api/v1/."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from apps.datasets import api

router = SimpleRouter()
router.register("datasets", api.DatasetViewSet, basename="api-dataset")

urlpatterns = [
    path("datasets/<slug:slug>/versions/", api.DatasetVersionsView.as_view(), name="api-dataset-versions"),
    path(
        "datasets/<slug:slug>/versions/<int:number>/",
        api.DatasetVersionView.as_view(),
        name="api-dataset-version",
    ),
    path(
        "datasets/<slug:slug>/versions/<int:number>/files/<path:path>",
        api.DatasetFileView.as_view(),
        name="api-dataset-file",
    ),
    path("", include(router.urls)),
]
