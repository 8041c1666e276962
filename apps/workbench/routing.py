"""Websockets of the workbench, beside those of the live process that lead into workspaces."""

from django.urls import path

from apps.workbench.consumers import EnvironmentConsumer

websocket_urlpatterns = [path("ws/environments/<int:pk>/", EnvironmentConsumer.as_asgi())]
