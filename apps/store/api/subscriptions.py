"""REST: plans, subscriptions, keys."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.core.api import IdempotencyMixin
from apps.store import selectors, services, usage_report
from apps.store.models import Plan, Subscription, SubscriptionKey
from apps.store.serializers import (
    ChangeSerializer,
    FreshKeySerializer,
    KeySerializer,
    LabelSerializer,
    PlanChangeSerializer,
    PlanSerializer,
    RotateSerializer,
    SubscribeSerializer,
    SubscriptionSerializer,
    SuccessorSerializer,
    SuspensionSerializer,
    WithdrawSerializer,
)

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from rest_framework.request import Request

    from apps.accounts.models import User


class PlanViewSet(
    IdempotencyMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    mixins.CreateModelMixin,
    viewsets.GenericViewSet[Plan],
):
    """Plans on offer, and those of what one's own teams provide."""

    serializer_class = PlanSerializer
    ordering = ("pk",)

    def get_queryset(self) -> QuerySet[Plan]:
        if getattr(self, "swagger_fake_view", False):
            return Plan.objects.none()
        rows = selectors.plans_visible_to(cast("User", self.request.user))
        slug = self.request.query_params.get("capability")
        return rows.filter(capability__slug=slug) if slug else rows

    @extend_schema(parameters=[OpenApiParameter("capability", str)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: object, **kwargs: object) -> Response:
        """Draft a plan."""
        asked = PlanSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        values.setdefault("limits", {})
        plan = services.create_plan(
            values.pop("capability"), values.pop("name"), by=cast("User", request.user), **values
        )
        return Response(PlanSerializer(plan).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=PlanChangeSerializer, responses=PlanSerializer)
    def partial_update(self, request: Request, pk: str = "") -> Response:
        """Change a draft; a published plan does not change."""
        asked = PlanChangeSerializer(data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        plan = services.edit_plan(self.get_object(), by=cast("User", request.user), **asked.validated_data)
        return Response(PlanSerializer(plan).data)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str = "") -> Response:
        """Throw a draft away; a published plan is withdrawn instead."""
        services.remove_plan(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(request=None, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def publish(self, request: Request, pk: str = "") -> Response:
        """Offer it; it cannot be changed from then on."""
        plan = services.publish_plan(self.get_object(), by=cast("User", request.user))
        return Response(PlanSerializer(plan).data)

    @extend_schema(request=WithdrawSerializer, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str = "") -> Response:
        """Take it off the store; with a `successor` its subscribers are told of that, see `successor/`."""
        asked = WithdrawSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.withdraw_plan(self.get_object(), by=cast("User", request.user), **asked.validated_data)
        return self.retrieve(request)

    @extend_schema(request=SuccessorSerializer, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def successor(self, request: Request, pk: str = "") -> Response:
        """Say which plan takes the place of a withdrawn one; its subscribers are told what changes.

        They are moved there on `moves_on`, at least 14 days ahead, with their keys; without a day each may move.
        """
        asked = SuccessorSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.name_successor(self.get_object(), by=cast("User", request.user), **asked.validated_data)
        return self.retrieve(request)

    @extend_schema(request=None, responses=PlanSerializer)
    @action(detail=True, methods=["post"])
    def move(self, request: Request, pk: str = "") -> Response:
        """Have all subscribers of a withdrawn plan moved within a minute, to a successor that gives no less."""
        services.move_subscribers(self.get_object(), by=cast("User", request.user))
        return self.retrieve(request)


class SubscriptionViewSet(
    IdempotencyMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Subscription],
):
    """What one's teams use, and who uses what one's teams provide."""

    serializer_class = SubscriptionSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Subscription]:
        if getattr(self, "swagger_fake_view", False):
            return Subscription.objects.none()
        rows = selectors.with_open_changes(
            selectors.subscriptions_visible_to(cast("User", self.request.user))
        )
        asked = self.request.query_params
        if asked.get("status"):
            rows = rows.filter(status=asked["status"])
        if asked.get("capability"):
            rows = rows.filter(capability__slug=asked["capability"])
        return rows

    @extend_schema(parameters=[OpenApiParameter("status", str), OpenApiParameter("capability", str)])
    def list(self, request: Request, *args: object, **kwargs: object) -> Response:
        return super().list(request, *args, **kwargs)

    @extend_schema(request=SubscribeSerializer, responses={201: SubscriptionSerializer})
    def create(self, request: Request) -> Response:
        """Take a plan for a team."""
        asked = SubscribeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast("User", request.user)
        plan = selectors.get_plan(asked.validated_data["plan"], user=user)
        made = services.subscribe(
            plan, asked.validated_data["team"], by=user, use_case=asked.validated_data["use_case"]
        )
        return Response(SubscriptionSerializer(made).data, status=status.HTTP_201_CREATED)

    def _moved(self, act: Any, **facts: Any) -> Response:
        subscription = self.get_object()
        act(subscription, by=cast("User", self.request.user), **facts)
        return Response(SubscriptionSerializer(subscription).data)

    @extend_schema(request=SuspensionSerializer, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def suspend(self, request: Request, pk: str = "") -> Response:
        """Refuse its calls until it is resumed."""
        asked = SuspensionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        return self._moved(services.suspend_subscription, reason=asked.validated_data["reason"])

    @extend_schema(request=None, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str = "") -> Response:
        """Let its calls pass again."""
        return self._moved(services.resume_subscription)

    @extend_schema(request=None, responses=SubscriptionSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str = "") -> Response:
        """End it."""
        return self._moved(services.cancel_subscription)

    @extend_schema(parameters=[OpenApiParameter("span", str)], responses=OpenApiResponse(response=dict))
    @action(detail=True, methods=["get"])
    def usage(self, request: Request, pk: str = "") -> Response:
        """Its calls, errors by kind and latencies in a `span`: day, week or month."""
        span = usage_report.span_of(request.query_params.get("span", ""))
        return Response(usage_report.for_subscription(self.get_object(), span).document())

    @extend_schema(parameters=[OpenApiParameter("plan", int)], responses=OpenApiResponse(response=dict))
    @action(detail=True, methods=["get"], url_path="what-if")
    def what_if(self, request: Request, pk: str = "") -> Response:
        """The last 30 days under the limits of another `plan` of the same capability."""
        subscription, user = self.get_object(), cast("User", request.user)
        wanted = request.query_params.get("plan", "")
        plan = selectors.get_plan(int(wanted), user=user) if wanted.isdecimal() else subscription.plan
        found = usage_report.what_if(subscription, plan.allowed)
        days = [{"day": day, "passed": p, "refused": r} for day, p, r in usage_report.replay_days(found)]
        return Response(
            {
                "plan": plan.pk,
                "calls": found.calls,
                "refused": found.refused.total(),
                "by_limit": dict(found.by_limit),
                "exact": found.exact,
                "words": usage_report.replay_words(found),
                "days": days,
            }
        )

    @extend_schema(request=ChangeSerializer, responses={201: ChangeSerializer})
    @action(detail=True, methods=["post"])
    def change(self, request: Request, pk: str = "") -> Response:
        """Ask for another `plan`, with the same keys; without one, to renew. `done` says whether it holds already."""
        asked = ChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user, values = cast("User", request.user), asked.validated_data
        if values.get("plan"):
            plan = selectors.get_plan(values["plan"], user=user)
            made = services.change_plan(self.get_object(), plan, by=user, reason=values["reason"])
        else:
            made = services.renew_subscription(self.get_object(), by=user, reason=values["reason"])
        answer = {
            "plan": made.plan_id,
            "reason": values["reason"],
            "done": made.done,
            "ticket": made.ticket_id,
        }
        return Response(answer, status=status.HTTP_201_CREATED)

    @extend_schema(methods=["GET"], responses=KeySerializer(many=True))
    @extend_schema(methods=["POST"], request=LabelSerializer, responses={201: FreshKeySerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def keys(self, request: Request, pk: str = "") -> Response:
        """The keys, and one more."""
        subscription = self.get_object()
        if request.method == "GET":
            return Response(KeySerializer(selectors.keys_of(subscription)[:200], many=True).data)
        asked = LabelSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        key, secret = services.issue_key(
            subscription,
            by=cast("User", request.user),
            label=asked.validated_data["label"],
            addresses=asked.validated_data["addresses"],
            expires_at=asked.validated_data["expires_at"],
        )
        return _fresh(key, secret)

    @extend_schema(request=RotateSerializer, responses={201: FreshKeySerializer})
    @action(detail=True, methods=["post"], url_path=r"keys/(?P<key>\d+)/rotate")
    def rotate_key(self, request: Request, pk: str = "", key: str = "") -> Response:
        """Make a key's successor; the old one works for `overlap_hours` more, a day unless told otherwise."""
        old = selectors.get_key(self.get_object(), int(key))
        asked = RotateSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        overlap, end = (
            timedelta(hours=asked.validated_data["overlap_hours"]),
            asked.validated_data["expires_at"],
        )
        return _fresh(
            *services.rotate_key(old, by=cast("User", request.user), overlap=overlap, expires_at=end)
        )

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"], url_path=r"keys/(?P<key>\d+)/revoke")
    def revoke_key(self, request: Request, pk: str = "", key: str = "") -> Response:
        """Refuse a key for good."""
        services.revoke_key(selectors.get_key(self.get_object(), int(key)), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


def _fresh(key: SubscriptionKey, secret: str) -> Response:
    key.secret = secret  # type: ignore[attr-defined]
    response = Response(FreshKeySerializer(key).data, status=status.HTTP_201_CREATED)
    response["Cache-Control"] = "no-store"
    return response
