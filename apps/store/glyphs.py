"""A picture for each capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from apps.catalog.models import Capability

_GLYPHS = {
    "vision": "photo-scan", "image": "photo-scan", "health": "heartbeat", "medicine": "heartbeat",
    "network": "access-point", "operations": "access-point", "text": "text-recognition", "language": "text-recognition",
    "tabular": "table", "speech": "microphone", "time": "chart-line", "finance": "coin",
}  # fmt: skip


def glyph_of(capability: Capability) -> str:
    """An icon's name for a capability, from its domain and tags."""
    words = " ".join([capability.domain, *capability.tags]).lower().replace("-", " ").split()
    return next((_GLYPHS[word] for word in words if word in _GLYPHS), "box-model-2")
