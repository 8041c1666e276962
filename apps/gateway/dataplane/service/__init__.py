"""What the gateway answers: Open Inference Protocol v2, feedback, health and metrics.

One call: key → plan → deployment by weight → replica → answer → log. Bodies pass through untouched: the
runner knows the signature and says what is wrong with an input.
"""

from apps.gateway.dataplane.service.parts import Parts
from apps.gateway.dataplane.service.service import Service

__all__ = ["Parts", "Service"]
