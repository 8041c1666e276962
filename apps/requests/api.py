"""REST: requests and notifications."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.core import search
from apps.core.api import IdempotencyMixin
from apps.core.search import MOST_HITS
from apps.requests import letters, services, tickets
from apps.requests import notifications as bells
from apps.requests.deputies import end_deputy, name_deputy
from apps.requests.models import Deputy, Notification, Request
from apps.requests.selectors import deputies_visible_to, notifications_of
from apps.requests.serializers import (
    CommentSerializer,
    DecideSerializer,
    DeputySerializer,
    HitSerializer,
    NotificationSerializer,
    RequestSerializer,
    WholeRequestSerializer,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import StreamingHttpResponse
    from rest_framework.request import Request as ApiRequest

    from apps.accounts.models import User


_FILTERS = [
    OpenApiParameter("view", enum=[*tickets.VIEWS], description="all that one may see unless told otherwise"),
    OpenApiParameter("kind", str),
    OpenApiParameter("person", str, description="a part of the name of whoever asked"),
    OpenApiParameter("team", str, description="its short name"),
    OpenApiParameter("status", enum=[*Request.Status.values]),
    OpenApiParameter("since", str, description="opened on this day or later; a day or a moment"),
    OpenApiParameter("until", str, description="opened on this day or before"),
]


class RequestViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Request]
):
    """Requests that one may see; `?view=waiting` those that one can decide now, `?view=mine` one's own.

    `kind`, `person`, `team`, `status`, `since` and `until` filter, as on the page.
    """

    serializer_class = RequestSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Request]:
        if getattr(self, "swagger_fake_view", False):
            return Request.objects.none()
        rows = self._rows()
        return rows.prefetch_related("steps__team", "steps__decisions__user", "steps__decisions__instead_of")

    def _rows(self) -> QuerySet[Request]:
        asked = self.request.query_params if self.action in ("list", "export") else {}
        return tickets.tickets_of(cast("User", self.request.user), asked.get("view", "all"), asked)

    @extend_schema(parameters=_FILTERS)
    def list(self, request: ApiRequest, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(responses=WholeRequestSerializer)
    def retrieve(self, request: ApiRequest, *args: object, **kwargs: object) -> Response:
        """One request, with what it asks for and whether somebody is left who can grant it."""
        return Response(WholeRequestSerializer(self.get_object()).data)

    @extend_schema(parameters=_FILTERS, responses={(200, "text/csv"): str})
    @action(detail=False, methods=["get"], pagination_class=None, filter_backends=[])
    def export(self, request: ApiRequest) -> StreamingHttpResponse:
        """The same as CSV, all of it, streamed."""
        return tickets.download(self._rows())

    @extend_schema(request=DecideSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: ApiRequest, pk: str = "") -> Response:
        """Say yes or no."""
        asked = DecideSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.decide(self.get_object(), **asked.validated_data, by=cast("User", request.user))
        return Response(RequestSerializer(self.get_object()).data)

    @extend_schema(request=None, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: ApiRequest, pk: str = "") -> Response:
        """Take one's request back."""
        services.withdraw(self.get_object(), by=cast("User", request.user))
        return Response(RequestSerializer(self.get_object()).data)

    @extend_schema(methods=["GET"], responses=CommentSerializer(many=True))
    @extend_schema(methods=["POST"], request=CommentSerializer, responses={201: CommentSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def comments(self, request: ApiRequest, pk: str = "") -> Response:
        """What was said, and one more."""
        row = self.get_object()
        if request.method == "GET":
            return Response(CommentSerializer(row.comments.select_related("user")[:500], many=True).data)
        asked = CommentSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        comment = services.comment_on(row, asked.validated_data["text"], by=cast("User", request.user))
        return Response(CommentSerializer(comment).data, status=status.HTTP_201_CREATED)


class NotificationViewSet(IdempotencyMixin, mixins.ListModelMixin, viewsets.GenericViewSet[Notification]):
    """One's own notifications, newest first."""

    serializer_class = NotificationSerializer
    ordering = ("-pk",)
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[Notification]:
        if getattr(self, "swagger_fake_view", False):
            return Notification.objects.none()
        return notifications_of(cast("User", self.request.user))

    @extend_schema(request=None, responses={204: None})
    @action(detail=False, methods=["post"])
    def read(self, request: ApiRequest) -> Response:
        """Mark all as read."""
        bells.mark_read(cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=NotificationSerializer, operation_id="notifications_read_one")
    @action(detail=True, methods=["post"], url_path="read")
    def read_one(self, request: ApiRequest, pk: str = "") -> Response:
        """Mark one as read."""
        bells.mark_read(cast("User", request.user), self.get_object().pk)
        return Response(NotificationSerializer(self.get_object()).data)


class SearchView(APIView):
    """The portal's search: what one may see that matches `?q=`, some of each kind."""

    @extend_schema(responses=HitSerializer(many=True), parameters=[OpenApiParameter("q", str)])
    def get(self, request: ApiRequest) -> Response:
        query = request.query_params.get("q", "").strip()[:200]
        hits = search.find(cast("User", request.user), query, limit=MOST_HITS)
        return Response(HitSerializer(hits, many=True).data)


class DeputyViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.DestroyModelMixin,
    viewsets.GenericViewSet[Deputy],
):
    """Who decides while somebody is away: one's own deputies, and those for whom one stands in."""

    serializer_class = DeputySerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Deputy]:
        if getattr(self, "swagger_fake_view", False):
            return Deputy.objects.none()
        return deputies_visible_to(cast("User", self.request.user))

    def create(self, request: ApiRequest, *args: object, **kwargs: object) -> Response:
        asked = DeputySerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user, values = cast("User", request.user), asked.validated_data
        made = name_deputy(
            values.get("person", user),
            values["deputy"],
            since=values["since"],
            until=values["until"],
            by=user,
        )
        return Response(DeputySerializer(made).data, status=status.HTTP_201_CREATED)

    def perform_destroy(self, instance: Deputy) -> None:
        end_deputy(instance, by=cast("User", self.request.user))


class MailChoicesView(APIView):
    """When one gets a letter for each kind of notification: `now`, `daily` or `never`; PATCH changes what it names."""

    @extend_schema(responses={200: dict})
    def get(self, request: ApiRequest) -> Response:
        return Response(letters.choices_of(cast("User", request.user)))

    @extend_schema(request=dict, responses={200: dict})
    def patch(self, request: ApiRequest) -> Response:
        user = cast("User", request.user)
        wanted = request.data if isinstance(request.data, dict) else {}
        letters.choose(user, {str(kind): str(when) for kind, when in wanted.items()})
        return Response(letters.choices_of(user))
