"""What beat calls for requests."""

from __future__ import annotations

from apps.core import background
from apps.requests.services import expire_due

background.every(30, "requests.expire_due")(expire_due)
