"""Websockets of jobs."""

from django.urls import path

from apps.compute.consumers import JobConsumer

websocket_urlpatterns = [path("ws/jobs/<int:pk>/", JobConsumer.as_asgi())]
