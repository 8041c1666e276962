"""What beat calls for requests."""

from __future__ import annotations

from apps.core import background
from apps.requests import letters, webhooks
from apps.requests.services import expire_due

background.every(30, "requests.expire_due")(expire_due)
background.every(10, "requests.deliver_due")(webhooks.deliver_due)
background.task("requests.deliver")(webhooks.deliver)
background.every(600, "requests.send_digests")(letters.send_digests)
