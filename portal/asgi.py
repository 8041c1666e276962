"""The live process: the portal's websockets, and the workspaces behind names of their own."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
http = get_asgi_application()

from channels.auth import AuthMiddlewareStack  # noqa: E402  Django has to be set up first
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from channels.security.websocket import OriginValidator  # noqa: E402
from django.conf import settings  # noqa: E402

from apps.gateway.feed import mounted  # noqa: E402
from apps.workbench.live.app import LiveApplication  # noqa: E402
from portal.routing import websocket_urlpatterns  # noqa: E402

portal = ProtocolTypeRouter(
    {
        "http": mounted(http),
        "websocket": OriginValidator(
            AuthMiddlewareStack(URLRouter(websocket_urlpatterns)), [settings.ATRIUM.web_url]
        ),
    }
)

#: Each workspace and MLflow's pages have an origin of their own here; the rest is the portal's.
application = LiveApplication(portal)
