"""Websockets of releases."""

from django.urls import path

from apps.releases.consumers import ReleaseConsumer

websocket_urlpatterns = [path("ws/releases/<int:pk>/", ReleaseConsumer.as_asgi())]
