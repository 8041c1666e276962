"""Websockets of requests."""

from django.urls import path

from apps.requests.consumers import BellConsumer

websocket_urlpatterns = [path("ws/notifications/", BellConsumer.as_asgi())]
