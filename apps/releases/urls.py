"""Addresses of releases."""

from django.urls import path

from apps.releases import views

app_name = "releases"
urlpatterns = [
    path("qa/", views.inbox, name="inbox"),
    path("releases/", views.list_releases, name="list"),
    path("releases/open/<int:version_pk>/", views.open_release, name="open"),
    path("releases/policy/<slug:slug>/", views.policy, name="policy"),
    path("releases/<int:pk>/", views.detail, name="detail"),
    path("releases/<int:pk>/sign/", views.sign, name="sign"),
    path("releases/<int:pk>/<slug:verb>/", views.steer, name="steer"),
]
