"""Pages of data sets."""

from django.urls import include, path

from apps.datasets import views

_pages = [
    path("datasets/", views.dataset_list, name="list"),
    path("datasets/new/", views.create, name="create"),
    path("datasets/<slug:slug>/", views.detail, name="detail"),
    path("datasets/<slug:slug>/edit/", views.edit, name="edit"),
    path("datasets/<slug:slug>/upload/", views.upload, name="upload"),
    path("datasets/<slug:slug>/versions/<int:number>/", views.version, name="version"),
    path("datasets/<slug:slug>/versions/<int:number>/files/<path:path>", views.file, name="file"),
]

urlpatterns = [path("", include((_pages, "datasets")))]
