"""REST: releases, by the same services as the pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from django.db.models import QuerySet
from django.http import HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response

from apps.catalog.selectors import get_capability, get_version
from apps.core.api import IdempotencyMixin
from apps.core.errors import Invalid, NotFound
from apps.core.policy import require
from apps.gateway.selectors import get_call
from apps.releases import bypass, conclusions, findings, history, policies, replays, reruns, rollout, signing
from apps.releases.blockers import blockers_of
from apps.releases.dossier import export_dossier
from apps.releases.models import Bypass, Finding, Policy, Release, Replay, Rerun
from apps.releases.policy import may_see_releases
from apps.releases.preview import preview
from apps.releases.selectors import (
    bypasses_visible_to,
    conclusions_of,
    findings_visible_to,
    get_team_of_policy,
    policies_visible_to,
    releases_told,
    releases_visible_to,
    replays_visible_to,
    reruns_visible_to,
    waiting_for_signature,
)
from apps.releases.serializers import (
    BlockerSerializer,
    BypassSerializer,
    ConclusionSerializer,
    ConditionalSigningSerializer,
    FindingSerializer,
    FoundSerializer,
    MetricPreviewSerializer,
    MomentSerializer,
    PasswordSerializer,
    PastSerializer,
    PolicySerializer,
    PreviewedSerializer,
    ReleaseSerializer,
    ReplayCommentSerializer,
    ReplayedCallSerializer,
    ReplaySerializer,
    RerunSerializer,
    ResolutionSerializer,
    RollBackSerializer,
    SigningSerializer,
)

if TYPE_CHECKING:
    from rest_framework.request import Request

    from apps.accounts.models import User


class ReleaseViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Release],
):
    """From a passed report to production."""

    serializer_class = ReleaseSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Release]:
        user = cast("User", self.request.user)
        found = releases_told(user) if self.action == "list" else releases_visible_to(user)
        found = found.prefetch_related(
            "stages", "signatures__user", "signatures__instead_of", "findings__raised_by"
        )
        if self.action == "list" and self.request.query_params.get("waiting") == "true":
            return found.filter(pk__in=waiting_for_signature(user).order_by().values("pk"))
        return found

    @extend_schema(
        parameters=[OpenApiParameter("waiting", bool, description="Those alone that wait for my signature")]
    )
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().list(request, *args, **kwargs)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user = cast("User", request.user)
        version = get_version(serializer.validated_data["version"].pk, user=user)
        release = signing.open_release(version, by=user)
        return Response(self.get_serializer(release).data, status=status.HTTP_201_CREATED)

    def _act(self, verb: Callable[..., Release], **facts: Any) -> Response:
        verb(self.get_object(), by=cast("User", self.request.user), **facts)
        return Response(self.get_serializer(self.get_object()).data)

    @extend_schema(request=ConditionalSigningSerializer)
    @action(detail=True, methods=["post"])
    def sign(self, request: Request, pk: str | None = None) -> Response:
        """Sign exactly the content of this release, perhaps on a condition; the password proves who signs."""
        return self._act(signing.sign_release, **_read(ConditionalSigningSerializer, request))

    @extend_schema(request=FindingSerializer, responses=FindingSerializer)
    @action(detail=True, methods=["post"])
    def findings(self, request: Request, pk: str | None = None) -> Response:
        """Limit the release until something is resolved."""
        user = cast("User", request.user)
        made = findings.raise_finding(self.get_object(), by=user, **_read(FindingSerializer, request))
        return Response(FindingSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=ResolutionSerializer, responses=FindingSerializer)
    @action(detail=True, methods=["post"], url_path=r"findings/(?P<finding>[0-9]+)/close")
    def close_finding(self, request: Request, finding: str, pk: str | None = None) -> Response:
        """Say how a finding was resolved."""
        row = self.get_object().findings.filter(pk=finding).first()
        if row is None:
            raise NotFound(_("This release has no finding %(pk)s.") % {"pk": finding})
        closed = findings.close_finding(
            row, by=cast("User", request.user), **_read(ResolutionSerializer, request)
        )
        return Response(FindingSerializer(closed).data)

    @extend_schema(
        parameters=[OpenApiParameter("version", int, required=True)], responses=BlockerSerializer(many=True)
    )
    @action(detail=False, pagination_class=None)
    def check(self, request: Request) -> Response:
        """What blocks the release of a version, in the order in which it has to be removed."""
        asked = request.query_params.get("version", "")
        if not asked.isdecimal():
            raise Invalid(_("Name the version by its id."), fields={"version": _("must be a number")})
        version = get_version(int(asked), user=cast("User", request.user))
        require(may_see_releases(cast("User", request.user), version.capability))
        return Response(BlockerSerializer(blockers_of(version), many=True).data)

    @extend_schema(parameters=[PastSerializer], responses=MomentSerializer)
    @action(detail=False, pagination_class=None)
    def history(self, request: Request) -> Response:
        """Which version at what share answered a capability's calls at a moment, and which one a subscriber got."""
        user = cast("User", request.user)
        read = PastSerializer(data=request.query_params)
        read.is_valid(raise_exception=True)
        asked = read.validated_data
        capability = get_capability(asked["capability"], user=user)
        require(may_see_releases(user, capability))
        caller = f"subscription:{asked['subscription']}" if "subscription" in asked else ""
        at = asked.get("at") or timezone.now()
        found = history.at_moment(capability, at, caller=caller, end_user=asked["end_user"])
        return Response(MomentSerializer(found).data)

    @extend_schema(request=None, responses={(200, "application/zip"): bytes})
    @action(detail=True, methods=["post"])
    def dossier(self, request: Request, pk: str | None = None) -> HttpResponse:
        """Everything about the release as one archive; `atrium verify` checks it offline."""
        archive = export_dossier(self.get_object(), by=cast("User", request.user))
        return HttpResponse(archive, content_type="application/zip")

    @extend_schema(request=SigningSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, pk: str | None = None) -> Response:
        """Refuse to sign."""
        return self._act(signing.reject_release, **_read(SigningSerializer, request))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, pk: str | None = None) -> Response:
        """Bring the signed version up and begin with the first stage."""
        return self._act(rollout.start_rollout)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def promote(self, request: Request, pk: str | None = None) -> Response:
        """Go to the next stage."""
        return self._act(rollout.promote)

    @extend_schema(methods=["GET"], responses=ConclusionSerializer(many=True))
    @extend_schema(methods=["POST"], request=ConclusionSerializer, responses=ConclusionSerializer)
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def conclusions(self, request: Request, pk: str | None = None) -> Response:
        """Stages that were concluded on replayed calls, since subscribers object; a second person has to agree."""
        release, user = self.get_object(), cast("User", request.user)
        if request.method == "POST":
            asked = _read(ConclusionSerializer, request)
            made = conclusions.ask_to_conclude(release, by=user, **asked)
            return Response(ConclusionSerializer(made).data, status=status.HTTP_201_CREATED)
        return Response(ConclusionSerializer(conclusions_of(release), many=True).data)

    @extend_schema(request=PasswordSerializer)
    @action(detail=True, methods=["post"], url_path="conclusions/agree")
    def agree_to_conclude(self, request: Request, pk: str | None = None) -> Response:
        """The second person: the stage is passed, and the release goes on."""
        return self._act(conclusions.agree_to_conclude, **_read(PasswordSerializer, request))

    @extend_schema(request=None)
    @action(detail=True, methods=["post"], url_path="conclusions/withdraw")
    def withdraw_conclusion(self, request: Request, pk: str | None = None) -> Response:
        """Take back what nobody has agreed to."""
        return self._act(conclusions.withdraw_conclusion)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, pk: str | None = None) -> Response:
        """Keep the present shares."""
        return self._act(rollout.pause)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, pk: str | None = None) -> Response:
        """Go on where it was paused."""
        return self._act(rollout.resume)

    @extend_schema(request=RollBackSerializer)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, pk: str | None = None) -> Response:
        """Give all the traffic back to what ran before."""
        return self._act(rollout.roll_back, **_read(RollBackSerializer, request))


def _read(serializer: Any, request: Request) -> dict[str, Any]:
    read = serializer(data=request.data)
    read.is_valid(raise_exception=True)
    found: dict[str, Any] = read.validated_data
    return found


@extend_schema_view(
    list=extend_schema(
        parameters=[OpenApiParameter("state", str, enum=["open", "closed"], description="Those alone")]
    )
)
class FindingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Finding]):
    """What signers found, over all releases; raised and closed at their release."""

    serializer_class = FoundSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Finding]:
        return findings_visible_to(
            cast("User", self.request.user), self.request.query_params.get("state", "")
        )


class BypassViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Bypass],
):
    """Emergency bypasses of sign-off: two people, some hours, back by itself."""

    serializer_class = BypassSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Bypass]:
        return bypasses_visible_to(cast("User", self.request.user))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        serializer = self.get_serializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        user, asked = cast("User", request.user), dict(serializer.validated_data)
        version = get_version(asked.pop("version").pk, user=user)
        made = bypass.ask_for_bypass(version, by=user, **asked)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=PasswordSerializer)
    @action(detail=True, methods=["post"])
    def agree(self, request: Request, pk: str | None = None) -> Response:
        """The second person; the version takes all the traffic until the bypass expires."""
        user = cast("User", request.user)
        agreed = bypass.agree_to_bypass(self.get_object(), by=user, **_read(PasswordSerializer, request))
        return Response(self.get_serializer(agreed).data)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        """Take it back; traffic that moved goes back at once."""
        ended = bypass.withdraw_bypass(self.get_object(), by=cast("User", request.user))
        return Response(self.get_serializer(ended).data)


class PolicyViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Policy],
):
    """Who signs and how a release goes on; a change is the next number."""

    serializer_class = PolicySerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Policy]:
        return policies_visible_to(cast("User", self.request.user))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        asked = _read(PolicySerializer, request)
        user = cast("User", request.user)
        slug, team = (asked.pop(of, {}).get("slug") for of in ("capability", "team"))
        if bool(slug) == bool(team):
            why = _("Name the capability, or the team for which it is the default.")
            wrong = _("is missing") if not slug else _("name one of the two")
            raise Invalid(why, fields={"capability": wrong})
        holder = get_capability(slug, user=user) if slug else get_team_of_policy(team, user=user)
        made = policies.create_policy(holder, by=user, **asked)
        return Response(self.get_serializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, pk: str | None = None) -> Response:
        """Let the policy's capability follow its team's default again."""
        withdrawn = policies.withdraw_policy(self.get_object(), by=cast("User", request.user))
        return Response(self.get_serializer(withdrawn).data)

    @extend_schema(request=PreviewedSerializer, responses=MetricPreviewSerializer)
    @action(detail=False, methods=["post"])
    def preview(self, request: Request) -> Response:
        """What a business metric says of the capability's last calls, before a policy is made with it."""
        asked, user = _read(PreviewedSerializer, request), cast("User", request.user)
        capability = get_capability(asked["capability"], user=user)
        require(may_see_releases(user, capability))
        return Response(MetricPreviewSerializer(preview(capability, asked["metric"])).data)


class ReplayViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Replay]
):
    """What candidates answer to the calls that subscribers made before, and what subscribers say of it."""

    serializer_class = ReplaySerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Replay]:
        return replays_visible_to(cast("User", self.request.user))

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        context = {**self.get_serializer_context(), "counts": replays.counted(page)}
        return self.get_paginated_response(ReplaySerializer(page, many=True, context=context).data)

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return Response(self._told(self.get_object()))

    def _told(self, replay: Replay) -> Any:
        return ReplaySerializer(replay, context={"counts": replays.counted([replay])}).data

    @extend_schema(responses=ReplayedCallSerializer(many=True))
    @action(detail=True)
    def calls(self, request: Request, pk: str | None = None) -> Response:
        """Each call with what became of it; the bodies are in the call log under `request_id` and `answer_id`."""
        rows: Any = self.get_object().calls.all()
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(ReplayedCallSerializer(page, many=True).data)

    @extend_schema(request=ReplayCommentSerializer)
    @action(detail=True, methods=["post"])
    def consent(self, request: Request, pk: str | None = None) -> Response:
        """The new version may answer this subscriber's calls."""
        by, told = cast("User", request.user), _read(ReplayCommentSerializer, request)
        return Response(self._told(replays.consent(self.get_object(), by=by, **told)))

    @extend_schema(request=ReplayCommentSerializer)
    @action(detail=True, methods=["post"], url_path="object")
    def object_(self, request: Request, pk: str | None = None) -> Response:
        """The subscriber keeps the old version for as long as the policy says."""
        by, told = cast("User", request.user), _read(ReplayCommentSerializer, request)
        return Response(self._told(replays.object_to(self.get_object(), by=by, **told)))

    @extend_schema(request=ReplayCommentSerializer)
    @action(detail=True, methods=["post"], url_path="ask-again")
    def ask_again(self, request: Request, pk: str | None = None) -> Response:
        """The provider asks who objects to look again; the objection holds until they consent."""
        by, told = cast("User", request.user), _read(ReplayCommentSerializer, request)
        return Response(self._told(replays.ask_anew(self.get_object(), by=by, **told)))


class RerunViewSet(
    IdempotencyMixin,
    mixins.CreateModelMixin,
    mixins.ListModelMixin,
    mixins.RetrieveModelMixin,
    viewsets.GenericViewSet[Rerun],
):
    """Logged calls, run again on exactly the version that answered them, or on another `version` of the capability."""

    serializer_class = RerunSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Rerun]:
        return reruns_visible_to(cast("User", self.request.user))

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        user, asked = cast("User", request.user), _read(RerunSerializer, request)
        on = asked.get("version", {}).get("number", "")
        rerun = reruns.run_again(get_call(asked["request_id"], user=user), on=on, by=user)
        return Response(self.get_serializer(rerun).data, status=status.HTTP_201_CREATED)
