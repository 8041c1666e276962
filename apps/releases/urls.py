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
    path("releases/emergency/", views.emergency, name="emergency"),
    path("releases/emergency/<int:pk>/<slug:verb>/", views.settle_bypass, name="settle-bypass"),
    path("releases/<int:pk>/dossier.zip", views.dossier, name="dossier"),
    path("releases/<int:pk>/findings/", views.raise_finding, name="raise-finding"),
    path("releases/<int:pk>/findings/<int:finding>/", views.close_finding, name="close-finding"),
    path("releases/<int:pk>/sign/", views.sign, name="sign"),
    path("releases/<int:pk>/<slug:verb>/", views.steer, name="steer"),
]
