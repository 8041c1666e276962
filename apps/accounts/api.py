"""REST: tokens, the own account, teams, sites, the audit log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, cast

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import generics, mixins, status, viewsets
from rest_framework.decorators import action
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts import audit_trail, invitations, services, sessions
from apps.accounts.models import Invitation, Membership, PersonalToken, Site, Team, User
from apps.accounts.policy import may_administer
from apps.accounts.selectors import people_found
from apps.accounts.serializers import (
    AuditSerializer,
    InvitationSerializer,
    MembershipSerializer,
    MeSerializer,
    NewTokenSerializer,
    PasswordChangeSerializer,
    PersonChangeSerializer,
    PersonSerializer,
    SentInvitationSerializer,
    SiteChangeSerializer,
    SiteSerializer,
    TeamChangeSerializer,
    TeamSerializer,
    TokenSerializer,
    VerificationSerializer,
)
from apps.core.api import IdempotencyMixin
from apps.core.errors import NotFound
from apps.core.models import AuditEntry
from apps.core.policy import require

if TYPE_CHECKING:
    from django.db.models import QuerySet
    from django.http import StreamingHttpResponse
    from rest_framework.request import Request


TOKEN_LIVES = timedelta(days=90)
"""When a program does not say how long; `null` is without end."""


class TokenViewSet(IdempotencyMixin, mixins.ListModelMixin, viewsets.GenericViewSet[PersonalToken]):
    """One's own personal tokens. The secret is in the answer to the POST and nowhere else."""

    serializer_class = TokenSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[PersonalToken]:
        if getattr(self, "swagger_fake_view", False):
            return PersonalToken.objects.none()
        return PersonalToken.objects.filter(user=cast("User", self.request.user), job_id=None)

    @extend_schema(request=TokenSerializer, responses={201: NewTokenSerializer})
    def create(self, request: Request) -> Response:
        asked = TokenSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        user = cast("User", request.user)
        ends = asked.validated_data.get("expires_at", timezone.now() + TOKEN_LIVES)
        token, secret = services.create_token(user, asked.validated_data["name"], by=user, expires_at=ends)
        return Response({**TokenSerializer(token).data, "secret": secret}, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str | None = None) -> Response:
        services.revoke_token(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class MeView(generics.RetrieveUpdateAPIView[User]):
    """One's own account: name, preferences, roles."""

    serializer_class = MeSerializer
    http_method_names = ["get", "patch", "head", "options"]

    def get_object(self) -> User:
        return cast("User", self.request.user)


class PasswordView(IdempotencyMixin, APIView):
    """One's own password."""

    @extend_schema(request=PasswordChangeSerializer, responses={204: None})
    def post(self, request: Request) -> Response:
        """Change it; sessions end, but for the one that asks, and tokens stay."""
        asked = PasswordChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        given, user = asked.validated_data, cast("User", request.user)
        with transaction.atomic():
            services.change_password(user, old=given["old_password"], new=given["new_password"])
            if request.auth is None:  # a browser's session, no token
                sessions.keep(request, user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class TeamViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Team]
):
    """Teams; administrators make them and choose their members."""

    serializer_class = TeamSerializer
    queryset = Team.objects.select_related("site", "owner")
    lookup_field = "slug"
    ordering = ("name", "pk")

    @extend_schema(request=TeamChangeSerializer, responses=TeamSerializer)
    def partial_update(self, request: Request, slug: str = "") -> Response:
        """Change the name, site or owner; `archived` takes the team out of use or opens it again."""
        team, user = self.get_object(), cast("User", request.user)
        asked = TeamChangeSerializer(team, data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        archived = values.pop("archived", None)
        if values:
            kept: dict[str, Any] = {"name": team.name, "site": team.site, "owner": team.owner}
            services.change_team(team, **(kept | values), by=user)
        if archived is not None:
            services.archive_team(team, archived=archived, by=user)
        return Response(TeamSerializer(self.get_object()).data)

    @extend_schema(responses={201: TeamSerializer})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = {name: asked.validated_data[name] for name in ("slug", "name", "site")}
        team = services.create_team(**values, by=cast("User", request.user))
        return Response(TeamSerializer(team).data, status=status.HTTP_201_CREATED)

    @extend_schema(methods=["GET"], responses=MembershipSerializer(many=True))
    @extend_schema(methods=["POST"], request=MembershipSerializer, responses={201: MembershipSerializer})
    @action(detail=True, methods=["get", "post"], pagination_class=None)
    def members(self, request: Request, slug: str = "") -> Response:
        """Who holds which role in the team; a POST gives a role."""
        team = self.get_object()
        if request.method == "GET":
            rows = team.memberships.select_related("user").order_by("user__username", "role")[:1000]
            return Response(MembershipSerializer(rows, many=True).data)
        asked = MembershipSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        membership = services.add_member(
            team, asked.validated_data["user"], asked.validated_data["role"], by=cast("User", request.user)
        )
        return Response(MembershipSerializer(membership).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    @action(detail=True, methods=["delete"], url_path="members/(?P<member>[0-9]+)")
    def remove_member(self, request: Request, slug: str = "", member: str = "") -> Response:
        """Take a role away."""
        found = Membership.objects.select_related("team", "user").filter(team__slug=slug, pk=member).first()
        if found is None:
            raise NotFound(_("This role was taken away already."))
        services.remove_member(found, by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class PersonViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[User]
):
    """Everybody who can log in; `?q=` finds by user name. Administrators only."""

    serializer_class = PersonSerializer
    ordering = ("username", "pk")
    lookup_value_regex = "[0-9]+"

    def get_queryset(self) -> QuerySet[User]:
        if getattr(self, "swagger_fake_view", False):
            return User.objects.none()
        require(may_administer(self.request.user))
        return people_found(self.request.query_params.get("q", ""))

    @extend_schema(request=PersonSerializer, responses={201: PersonSerializer})
    def create(self, request: Request) -> Response:
        """Add a person, who should change the password at once."""
        require(may_administer(request.user))
        asked = PersonSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        values = asked.validated_data
        made = services.create_person(
            values["username"], values["get_full_name"], values["password"], by=cast("User", request.user)
        )
        return Response(PersonSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=PersonChangeSerializer, responses=PersonSerializer)
    def partial_update(self, request: Request, pk: str = "") -> Response:
        """Shut a person out, or let them in again."""
        person = self.get_object()
        asked = PersonChangeSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        services.set_active(person, asked.validated_data["active"], by=cast("User", request.user))
        return Response(PersonSerializer(self.get_object()).data)


class SiteViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Site]
):
    """The centre and the provinces."""

    serializer_class = SiteSerializer
    queryset = Site.objects.all()
    lookup_field = "slug"
    ordering = ("name", "pk")

    @extend_schema(responses={201: SiteSerializer})
    def create(self, request: Request) -> Response:
        asked = self.get_serializer(data=request.data)
        asked.is_valid(raise_exception=True)
        site = services.create_site(**asked.validated_data, by=cast("User", request.user))
        return Response(SiteSerializer(site).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=SiteChangeSerializer, responses=SiteSerializer)
    def partial_update(self, request: Request, slug: str = "") -> Response:
        """Change the name or kind; `archived` takes the site out of use or opens it again. The short name stays."""
        site, user = self.get_object(), cast("User", request.user)
        asked = SiteChangeSerializer(site, data=request.data, partial=True)
        asked.is_valid(raise_exception=True)
        values = dict(asked.validated_data)
        archived = values.pop("archived", None)
        if values or archived is None:
            services.change_site(site, **({"name": site.name, "kind": site.kind} | values), by=user)
        if archived is not None:
            services.archive_site(site, archived=archived, by=user)
        return Response(SiteSerializer(self.get_object()).data)


class InvitationViewSet(
    IdempotencyMixin, mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Invitation]
):
    """Invitations into the teams that one leads; a POST sends one by e-mail."""

    serializer_class = InvitationSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[Invitation]:
        if getattr(self, "swagger_fake_view", False):
            return Invitation.objects.none()
        return invitations.invitations_visible_to(self.request.user)

    def _sent(self, invitation: Invitation, link: str, code: int) -> Response:
        shown = link if may_administer(self.request.user) else ""
        return Response({**InvitationSerializer(invitation).data, "link": shown}, status=code)

    @extend_schema(request=InvitationSerializer, responses={201: SentInvitationSerializer})
    def create(self, request: Request) -> Response:
        asked = InvitationSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        sent, link = invitations.invite(**asked.validated_data, by=cast("User", request.user))
        return self._sent(sent, link, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=SentInvitationSerializer)
    @action(detail=True, methods=["post"])
    def again(self, request: Request, pk: str = "") -> Response:
        """Send a fresh link; the former one ends."""
        sent = self.get_object()
        link = invitations.send_again(sent, by=cast("User", request.user))
        return self._sent(self.get_object(), link, status.HTTP_200_OK)

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str = "") -> Response:
        """Revoke it: its link works no more."""
        invitations.revoke(self.get_object(), by=cast("User", request.user))
        return Response(status=status.HTTP_204_NO_CONTENT)


class AuditView(generics.ListAPIView[AuditEntry]):
    """The audit log, newest first; filters: action (prefix), actor, urn, since, until. Administrators only."""

    serializer_class = AuditSerializer
    ordering = ("-pk",)

    def get_queryset(self) -> QuerySet[AuditEntry]:
        if getattr(self, "swagger_fake_view", False):
            return AuditEntry.objects.none()
        require(may_administer(self.request.user))
        return audit_trail.entries(self.request.query_params)


class AuditExportView(APIView):
    """All entries that fit the same filters, as `csv` or `jsonl`, streamed. Administrators only."""

    @extend_schema(responses={(200, "text/csv"): str})
    def get(self, request: Request, form: str) -> StreamingHttpResponse:
        return audit_trail.download(request.user, form, request.query_params)


class AuditVerificationView(IdempotencyMixin, APIView):
    """Recompute the chain of the audit log. Administrators only."""

    @extend_schema(request=None, responses=VerificationSerializer)
    def post(self, request: Request) -> Response:
        require(may_administer(request.user))
        return Response(VerificationSerializer(audit_trail.verify()).data)
