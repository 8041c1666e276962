"""The portal's websockets; each app brings its own."""

from typing import Any

from apps.compute.routing import websocket_urlpatterns as of_compute
from apps.releases.routing import websocket_urlpatterns as of_releases
from apps.requests.routing import websocket_urlpatterns as of_requests
from apps.workbench.routing import websocket_urlpatterns as of_workbench

websocket_urlpatterns: list[Any] = [*of_requests, *of_compute, *of_workbench, *of_releases]
