"""All of the portal's addresses; each app brings its own."""

from typing import Any

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from portal.health import healthz

api_v1: list[Any] = []

api: list[Any] = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("v1/", include(api_v1)),
]

urlpatterns = [
    path("api/", include(api)),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
]
