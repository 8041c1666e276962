"""Pages of operations."""

from django.urls import include, path

from apps.instances import views

_pages = [
    path("operations/", views.operations, name="list"),
    path("operations/versions/<int:version>/", views.of_version, name="of_version"),
    path("operations/deploy/<int:version>/", views.deploy, name="deploy"),
    path("operations/traffic/<slug:slug>/", views.traffic, name="traffic"),
    path("operations/traffic/<slug:slug>/shadow/", views.shadow, name="shadow"),
    path("operations/<int:pk>/", views.detail, name="detail"),
    path("operations/<int:pk>/state/", views.state, name="state"),
    path("operations/<int:pk>/stop/", views.stop, name="stop"),
    path("operations/<int:pk>/start/", views.start, name="start"),
    path("operations/<int:pk>/restart/", views.restart, name="restart"),
    path("operations/<int:pk>/scale/", views.scale, name="scale"),
    path("operations/<int:pk>/place/", views.place, name="place"),
    path("operations/<int:pk>/key/", views.key, name="key"),
]

urlpatterns = [path("", include((_pages, "instances")))]
