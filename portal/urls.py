"""All of the portal's addresses; each app brings its own."""

from typing import Any

from django.conf import settings
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView

from apps.core import package
from apps.requests import home
from portal.administration import site
from portal.health import healthz

# The addresses are tried in this order, so what is asked most stands first: claim and submit of labels.
api_v1: list[Any] = [
    path("", include("apps.annotation.api_urls")),
    path("", include("apps.accounts.api_urls")),
    path("", include("apps.requests.api_urls")),
    path("", include("apps.compute.api_urls")),
    path("", include("apps.store.api_urls")),
    path("", include("apps.datasets.api_urls")),
    path("", include("apps.workbench.api_urls")),
    path("", include("apps.catalog.api_urls")),
    path("", include("apps.instances.api_urls")),
    path("", include("apps.gateway.api_urls")),
    path("", include("apps.evaluation.api_urls")),
    path("", include("apps.releases.api_urls")),
    path("", include("apps.experiments.api_urls")),
]

api: list[Any] = [
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", home.api_docs, name="api_docs"),
    path("v1/", include(api_v1)),
]

urlpatterns = [
    path("api/", include(api)),
    path("admin/", site().urls),
    path("", home.landing, name="landing"),
    path("home/", home.home, name="home"),
    path("search/", home.find, name="search"),
    path("", include("apps.accounts.urls")),
    path("", include("apps.requests.urls")),
    path("", include("apps.compute.urls")),
    path("", include("apps.store.urls")),
    path("", include("apps.datasets.urls")),
    path("", include("apps.catalog.urls")),
    path("", include("apps.instances.urls")),
    path("", include("apps.gateway.urls")),
    path("healthz", healthz, name="healthz"),
    path("package/<str:name>", package.download, name="package"),
    path("", include("apps.workbench.urls")),
    path("", include("apps.evaluation.urls")),
    path("", include("apps.releases.urls")),
    path("", include("apps.experiments.urls")),
    path("", include("apps.annotation.urls")),
]

handler404 = "portal.missing.not_found"
handler500 = "portal.missing.broke"

if settings.ATRIUM.oidc_url:
    urlpatterns.append(path("sso/", include("allauth.socialaccount.providers.openid_connect.urls")))
