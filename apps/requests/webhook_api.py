"""REST: webhooks and their messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.accounts.models import Team
from apps.core.api import IdempotencyMixin
from apps.core.errors import NotFound
from apps.core.serializers import ModelSerializer, NamedField, Serializer
from apps.requests import webhooks
from apps.requests.models import Delivery, Webhook

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request as ApiRequest

    from apps.accounts.models import User


class WebhookSerializer(ModelSerializer[Webhook]):
    """A webhook. `secret` (whsec_…, Standard Webhooks) comes with the answer that made it, never again."""

    team: serializers.SlugRelatedField[Any] = NamedField(slug_field="slug", queryset=Team.objects.all())
    events = serializers.ListField(child=serializers.CharField(max_length=60))
    secret = serializers.SerializerMethodField()

    class Meta:
        model = Webhook
        fields = ["id", "team", "url", "events", "active", "why_off", "created_at", "secret"]
        read_only_fields = ["id", "active", "why_off", "created_at"]

    def get_secret(self, webhook: Webhook) -> str | None:
        return cast("str | None", webhook.__dict__.get("fresh_secret"))


class WebhookSwitchSerializer(Serializer[Any]):
    """Whether messages are sent."""

    active = serializers.BooleanField()


class DeliverySerializer(ModelSerializer[Delivery]):
    """One message, and what came back."""

    error = serializers.CharField(source="why", read_only=True)

    class Meta:
        model = Delivery
        fields = [
            *(
                "id",
                "message_id",
                "event",
                "payload",
                "status",
                "attempts",
                "next_attempt_at",
                "answer_status",
            ),
            *("error", "took_ms", "created_at", "delivered_at"),
        ]
        read_only_fields = fields


class WebhookViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Webhook]
):
    """The webhooks of one's teams."""

    serializer_class = WebhookSerializer
    ordering = ("-pk",)
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Webhook]:
        if getattr(self, "swagger_fake_view", False):
            return Webhook.objects.none()
        return webhooks.webhooks_visible_to(self._user())

    def _user(self) -> User:
        return cast("User", self.request.user)

    @extend_schema(request=WebhookSerializer, responses={201: WebhookSerializer})
    def create(self, request: ApiRequest) -> Response:
        """Make one; the answer has its secret, this once."""
        asked = WebhookSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        made, secret = webhooks.create_webhook(
            values["team"], values["url"], values["events"], by=self._user()
        )
        made.__dict__["fresh_secret"] = secret
        response = Response(WebhookSerializer(made).data, status=status.HTTP_201_CREATED)
        response["Cache-Control"] = "no-store"
        return response

    @extend_schema(request=WebhookSwitchSerializer, responses=WebhookSerializer)
    def partial_update(self, request: ApiRequest, pk: str = "") -> Response:
        """Stop telling for a while, or start again."""
        found = self.get_object()
        asked = WebhookSwitchSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        webhooks.switch_webhook(found, on=asked.validated_data["active"], by=self._user())
        return Response(WebhookSerializer(self.get_object()).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: ApiRequest, pk: str = "") -> Response:
        """Remove it with its log."""
        webhooks.remove_webhook(self.get_object(), by=self._user())
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses={202: None})
    @action(detail=True, methods=["post"])
    def ping(self, request: ApiRequest, pk: str = "") -> Response:
        """Send a test message."""
        webhooks.ping(self.get_object(), by=self._user())
        return Response(status=status.HTTP_202_ACCEPTED)

    @extend_schema(responses=DeliverySerializer(many=True))
    @action(detail=True, methods=["get"], pagination_class=None)
    def deliveries(self, request: ApiRequest, pk: str = "") -> Response:
        """The newest 100 messages."""
        newest = self.get_object().deliveries.order_by("-pk")[:100]
        return Response(DeliverySerializer(newest, many=True).data)

    @extend_schema(request=None, responses={202: None})
    @action(detail=True, methods=["post"], url_path=r"deliveries/(?P<delivery>\d+)/redeliver")
    def redeliver(self, request: ApiRequest, pk: str = "", delivery: str = "") -> Response:
        """Send a message again."""
        found = self.get_object().deliveries.select_related("webhook__team").filter(pk=int(delivery)).first()
        if found is None:
            raise NotFound(_("This webhook has no message %(pk)s.") % {"pk": delivery})
        webhooks.redeliver(found, by=self._user())
        return Response(status=status.HTTP_202_ACCEPTED)
