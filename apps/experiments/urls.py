"""Addresses of experiments."""

from django.urls import path

from apps.experiments import views

app_name = "experiments"
urlpatterns = [
    path("ab-experiments/", views.list_experiments, name="list"),
    path("ab-experiments/new/<slug:slug>/", views.new, name="new"),
    path("ab-experiments/new/<slug:slug>/check/", views.check, name="check"),
    path("ab-experiments/<int:pk>/", views.detail, name="detail"),
    path("ab-experiments/<int:pk>/edit/", views.edit, name="edit"),
    path("ab-experiments/<int:pk>/<slug:verb>/", views.steer, name="steer"),
]
