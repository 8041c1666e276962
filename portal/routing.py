"""The portal's websockets; each app brings its own."""

from typing import Any

websocket_urlpatterns: list[Any] = []
