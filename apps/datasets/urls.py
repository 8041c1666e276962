"""Pages of data sets."""

from django.urls import include, path

from apps.datasets import views

_pages = [
    path("datasets/", views.dataset_list, name="list"),
    path("datasets/new/", views.create, name="create"),
    path("datasets/-/to-add-to/", views.to_add_to, name="to_add_to"),
    path("datasets/<slug:slug>/", views.detail, name="detail"),
    path("datasets/<slug:slug>/edit/", views.edit, name="edit"),
    path("datasets/<slug:slug>/upload/", views.upload, name="upload"),
    path("datasets/<slug:slug>/versions/<int:number>/", views.version, name="version"),
    path("datasets/<slug:slug>/versions/<int:number>/split/", views.split, name="split"),
    path("datasets/<slug:slug>/versions/<int:number>/tag/", views.tag, name="tag"),
    path("datasets/<slug:slug>/tags/<slug:name>/drop/", views.drop_tag, name="drop_tag"),
    path("datasets/<slug:slug>/readers/", views.share, name="share"),
    path("datasets/<slug:slug>/readers/<str:username>/drop/", views.stop_sharing, name="stop_sharing"),
    path("datasets/<slug:slug>/compare/", views.compare, name="compare"),
    path("datasets/<slug:slug>/versions/<int:number>/files/<path:path>", views.file, name="file"),
]

urlpatterns = [path("", include((_pages, "datasets")))]
