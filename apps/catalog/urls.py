"""Pages of the catalog."""

from django.urls import include, path

from apps.catalog.views import capabilities, comparison, composites, parsing, versions

_pages = [
    path("catalog/", capabilities.capability_list, name="list"),
    path("catalog/new/", capabilities.create, name="create"),
    path("catalog/card-preview/", capabilities.preview, name="card_preview"),
    path("catalog/<slug:slug>/", capabilities.detail, name="detail"),
    path("catalog/<slug:slug>/edit/", capabilities.edit, name="edit"),
    path("catalog/<slug:slug>/publish/", capabilities.publish, name="publish"),
    path("catalog/<slug:slug>/withdraw/", capabilities.withdraw, name="withdraw"),
    path("catalog/<slug:slug>/deprecate/", capabilities.deprecate, name="deprecate"),
    path("catalog/<slug:slug>/compare/", comparison.compare_versions, name="compare"),
    path("catalog/<slug:slug>/compose/", composites.compose, name="compose"),
    path("catalog/<slug:slug>/compose/picture/", composites.picture, name="compose_picture"),
    path("catalog/<slug:slug>/upload/", versions.upload, name="upload"),
    path("catalog/<slug:slug>/versions/<str:number>/", versions.detail, name="version"),
    path("catalog/<slug:slug>/versions/<str:number>/state/", versions.state, name="version_state"),
    path("catalog/<slug:slug>/versions/<str:number>/package/", versions.package, name="package"),
    path("catalog/<slug:slug>/versions/<str:number>/int8/", versions.quantise, name="quantise"),
    path("catalog/<slug:slug>/versions/<str:number>/retire/", versions.retire, name="retire"),
    path(
        "catalog/<slug:slug>/versions/<str:number>/deprecate/", versions.deprecate, name="deprecate_version"
    ),
    path("catalog/<slug:slug>/versions/<str:number>/keep/", versions.keep, name="keep_version"),
    path("catalog/<slug:slug>/versions/<str:number>/parsing/", parsing.edit, name="parsing"),
    path(
        "catalog/<slug:slug>/versions/<str:number>/parsing/preview/", parsing.preview, name="parsing_preview"
    ),
    path("catalog/<slug:slug>/versions/<str:number>/files/<path:path>", versions.file, name="file"),
]

urlpatterns = [path("", include((_pages, "catalog")))]
