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
    path(
        "datasets/<slug:slug>/versions/<int:number>/preview/",
        api.PreviewView.as_view(),
        name="api-dataset-preview",
    ),
    path(
        "datasets/<slug:slug>/versions/<int:number>/lineage/",
        api.LineageView.as_view(),
        name="api-dataset-lineage",
    ),
    path(
        "datasets/<slug:slug>/versions/<int:number>/split/", api.SplitView.as_view(), name="api-dataset-split"
    ),
    path(
        "datasets/<slug:slug>/versions/<int:number>/split/assignment/",
        api.AssignmentView.as_view(),
        name="api-dataset-assignment",
    ),
    path("datasets/<slug:slug>/comparison/", api.ComparisonView.as_view(), name="api-dataset-comparison"),
    path("datasets/<slug:slug>/readers/", api.ReadersView.as_view(), name="api-dataset-readers"),
    path("datasets/<slug:slug>/readers/<str:username>/", api.ReaderView.as_view(), name="api-dataset-reader"),
    path("datasets/<slug:slug>/tags/", api.TagsView.as_view(), name="api-dataset-tags"),
    path("datasets/<slug:slug>/tags/<slug:name>/", api.TagView.as_view(), name="api-dataset-tag"),
    path("", include(router.urls)),
]
