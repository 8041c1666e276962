"""The one door: an inference call goes to `inference`, all else to `paths`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from apps.gateway.dataplane.call import Call, Target
from apps.gateway.dataplane.calllog import LogFull
from apps.gateway.dataplane.problems import Refused
from apps.gateway.dataplane.service.inference import Inference
from apps.gateway.dataplane.service.parts import Parts
from apps.gateway.dataplane.service.paths import Paths
from apps.gateway.dataplane.service.refusals import failed, log_full

if TYPE_CHECKING:
    from collections.abc import Callable

    from apps.gateway.dataplane.http import Request, Response

log = logging.getLogger("atrium.gateway")


class Service:
    """Answers complete requests; everything that it keeps between calls is in its parts."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._seconds = parts.config.call_seconds
        self._infer = Inference(parts).infer
        self._paths = Paths(parts)

    def handle(self, request: Request, send: Callable[[Response], None]) -> None:
        """Send the answer to anything, now or later; never raises."""
        target: Target | None = request.head.target
        if target is None:
            target = request.head.target = Target(request.head, self._seconds)
        if target.name:
            self._infer(Call(request, target, send))
        else:
            self.parts.spawn(self._answer_other(request, target, send))

    async def _answer_other(self, request: Request, target: Target, send: Callable[[Response], None]) -> None:
        try:
            response = await self._paths.answer(request, target)
        except Refused as refusal:
            response = self.refuse(refusal)
        except LogFull:
            response = self.refuse(log_full())
        except Exception:
            log.exception("a request failed")
            response = self.refuse(failed())
        send(response)

    def refuse(self, refusal: Refused) -> Response:
        """The answer to what never became a request."""
        return self.parts.refuse(refusal)
