"""REST: Try it, with the same services, quota and rights as the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import exceptions, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.models import Capability
from apps.catalog.selectors import get_capability
from apps.core.api import IdempotencyMixin
from apps.core.errors import Invalid, Unavailable
from apps.core.policy import require
from apps.core.serializers import Serializer
from apps.store import attribution, selectors, services
from apps.store.policy import may_try
from apps.store.reading import read_answer

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User
    from apps.store.adapters import Answer


class TryOutSerializer(Serializer[None]):
    """Tensors as the inference protocol has them; up to two `versions` are asked the same, side by side."""

    inputs = serializers.ListField(child=serializers.DictField(), min_length=1)
    versions = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        default=list,
        max_length=services.MOST_SIDES,
    )


class WhySerializer(Serializer[None]):
    """The tensors of one item."""

    inputs = serializers.ListField(child=serializers.DictField(), min_length=1)


class TrialFeedbackSerializer(Serializer[None]):
    """Which answer, whether it was right, and the label that would have been."""

    request_id = serializers.UUIDField()
    correct = serializers.BooleanField()
    expected = serializers.CharField(required=False, allow_blank=True, default="", max_length=500)
    comment = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


_DOCUMENT = OpenApiResponse(response=dict)


class TryOutViewSet(IdempotencyMixin, viewsets.GenericViewSet[Capability]):
    """What a person may ask without a subscription, under the trial's quota."""

    queryset = Capability.objects.none()  # says of what kind `slug` is; get_object asks who may see it
    lookup_field = "slug"

    def get_object(self) -> Capability:
        return get_capability(self.kwargs["slug"], user=self.request.user)

    def _asked(self, kind: type[Serializer[None]]) -> dict[str, Any]:
        asked = kind(data=self.request.data)
        asked.is_valid(raise_exception=True)
        return dict(asked.validated_data)

    @extend_schema(methods=["GET"], responses=_DOCUMENT, operation_id="store_try_retrieve")
    @extend_schema(methods=["POST"], request=TryOutSerializer, responses=_DOCUMENT)
    @action(detail=True, methods=["get", "post"], url_path="try")
    def try_out(self, request: Request, slug: str = "") -> Response:
        """GET: which versions may be asked, the quota, an example. POST asks production, or the versions named."""
        capability, user = self.get_object(), cast("User", request.user)
        require(may_try(user, capability))
        version = services.version_to_try(user, capability)
        signature = version.signature if version else {}
        if request.method == "GET":
            cases = selectors.cases_of(version)
            return Response(
                {
                    "version": version.number if version else None,
                    "versions": list(selectors.comparable(user, capability)),
                    "limits": services.trial_limits(capability).to_json(),
                    "explains": attribution.takes_many(signature),
                    "example": cases[0]["inputs"] if cases else None,
                }
            )
        asked = self._asked(TryOutSerializer)
        answers = services.ask(capability, asked["inputs"], by=user, versions=asked["versions"])
        if not any(answer.ok for answer in answers):
            _refuse(answers[0])
        return Response({"answers": [_told(answer, signature) for answer in answers]})

    @extend_schema(request=WhySerializer, responses=_DOCUMENT)
    @action(detail=True, methods=["post"], url_path="try/why")
    def why(self, request: Request, slug: str = "") -> Response:
        """What the answer to one item rests on: each part's weight, by occlusion; one call of the quota."""
        asked = self._asked(WhySerializer)
        explained = services.explain(self.get_object(), asked["inputs"], by=cast("User", request.user))
        if not explained.answer.ok:
            _refuse(explained.answer)
        return Response(
            {
                "method": "occlusion",
                "unit": explained.unit,
                "version": explained.answer.body.get("model_version", ""),
                "request_id": explained.answer.request_id,
                "weights": [
                    {
                        "input": weight.part.tensor,
                        "part": weight.part.label,
                        "value": weight.part.value,
                        "places": list(weight.part.places),
                        "replaced_by": weight.neutral,
                        "weight": weight.weight,
                    }
                    for weight in explained.weights
                ],
            }
        )

    @extend_schema(request=TrialFeedbackSerializer, responses=_DOCUMENT)
    @action(detail=True, methods=["post"], url_path="try/feedback")
    def feedback(self, request: Request, slug: str = "") -> Response:
        """Say whether an answer of a trial call was right, and which label would have been."""
        asked = self._asked(TrialFeedbackSerializer)
        sent = services.report_answer(
            self.get_object(),
            str(asked["request_id"]),
            correct=asked["correct"],
            label=asked["expected"],
            comment=asked["comment"],
            by=cast("User", request.user),
        )
        if sent.status != 202:
            _refuse(sent)
        return Response(sent.body, status=202)


def _told(answer: Answer, signature: dict[str, Any]) -> dict[str, Any]:
    """An answer with what it says in words, or why there is none."""
    facts: dict[str, Any] = {
        "ok": answer.ok,
        "version": answer.body.get("model_version", ""),
        "request_id": answer.request_id,
        "took_ms": round(answer.took_ms, 3),
        "quota_left": answer.quota_left,
    }
    if not answer.ok:
        return facts | {"error": answer.error, "advice": services.advice(answer)}
    outputs = answer.body.get("outputs", [])
    reading = read_answer(signature, outputs)
    return facts | {"answer": reading.answer, "confidence": reading.confidence, "outputs": outputs}


def _refuse(answer: Answer) -> None:
    """Raise what the gateway's refusal is here, with what to do."""
    words = f"{answer.error} {services.advice(answer)}".strip()
    if answer.status == 429:
        raise exceptions.Throttled(wait=answer.retry_after, detail=words)
    if 400 <= answer.status < 500 and answer.status not in {401, 403}:
        raise Invalid(words)
    wait = answer.retry_after
    raise Unavailable(words, retry_after=int(wait) if wait else None)
