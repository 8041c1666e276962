"""REST shapes of people, teams, sites, tokens and audit entries."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.models import Invitation, Membership, PersonalToken, Role, Site, Team, User
from apps.core.audit import Verification
from apps.core.models import AuditEntry
from apps.core.serializers import ModelSerializer, Serializer


class SiteSerializer(ModelSerializer[Site]):
    class Meta:
        model = Site
        fields = ["slug", "name", "kind", "archived_at"]
        read_only_fields = ["archived_at"]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}


class SiteChangeSerializer(SiteSerializer):
    """What of a site can change."""

    archived = serializers.BooleanField(required=False, write_only=True)

    class Meta(SiteSerializer.Meta):
        fields = [*SiteSerializer.Meta.fields, "archived"]
        read_only_fields = ["slug", "archived_at"]


class TeamSerializer(ModelSerializer[Team]):
    site: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Site.objects.all()
    )

    owner: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.all(), required=False, allow_null=True
    )

    class Meta:
        model = Team
        fields = ["slug", "name", "site", "owner", "archived_at"]
        read_only_fields = ["archived_at"]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}


class TeamChangeSerializer(TeamSerializer):
    """What of a team can change."""

    archived = serializers.BooleanField(required=False, write_only=True)

    class Meta(TeamSerializer.Meta):
        fields = [*TeamSerializer.Meta.fields, "archived"]
        read_only_fields = ["slug", "archived_at"]


class PasswordChangeSerializer(Serializer[Any]):
    """The present password, which proves who asks, and the one that takes its place."""

    old_password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=4096)
    new_password = serializers.CharField(write_only=True, trim_whitespace=False, max_length=4096)


class PersonSerializer(ModelSerializer[User]):
    """A person as administrators see them; a new one is given a user name, a name and a first password."""

    full_name = serializers.CharField(
        required=False, allow_blank=True, default="", max_length=300, source="get_full_name"
    )
    active = serializers.BooleanField(source="is_active", read_only=True)
    roles = serializers.SerializerMethodField()
    password = serializers.CharField(write_only=True, trim_whitespace=False)

    class Meta:
        model = User
        fields = ["id", "username", "full_name", "email", "active", "last_login", "roles", "password"]
        read_only_fields = ["id", "email", "last_login"]
        extra_kwargs: dict[str, Any] = {"username": {"validators": []}}

    def get_roles(self, person: User) -> list[dict[str, str]]:
        return [{"team": held.team.slug, "role": held.role} for held in person.memberships.all()]


class PersonChangeSerializer(Serializer[Any]):
    """Whether a person may log in."""

    active = serializers.BooleanField()


class InvitationSerializer(ModelSerializer[Invitation]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Team.objects.all()
    )
    roles = serializers.ListField(child=serializers.ChoiceField(choices=Role.choices))
    state = serializers.CharField(read_only=True)
    invited_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Invitation
        fields = [
            "id",
            "email",
            "team",
            "roles",
            "language",
            "state",
            "invited_by",
            "created_at",
            "expires_at",
        ]
        read_only_fields = ["id", "created_at", "expires_at"]


class SentInvitationSerializer(InvitationSerializer):
    """With the link, which an administrator is answered this once."""

    link = serializers.CharField(read_only=True)

    class Meta(InvitationSerializer.Meta):
        fields = [*InvitationSerializer.Meta.fields, "link"]


class MembershipSerializer(ModelSerializer[Membership]):
    user: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", queryset=User.objects.all()
    )
    role = serializers.ChoiceField(choices=Role.choices)

    class Meta:
        model = Membership
        fields = ["id", "user", "role"]
        validators: list[object] = []


class RoleSerializer(ModelSerializer[Membership]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)

    class Meta:
        model = Membership
        fields = ["team", "role"]


class MeSerializer(ModelSerializer[User]):
    memberships = RoleSerializer(many=True, read_only=True)
    looks: serializers.DictField = serializers.DictField(
        child=serializers.CharField(max_length=20), required=False
    )

    class Meta:
        model = User
        fields = [
            "id",
            "username",
            "first_name",
            "last_name",
            "email",
            "language",
            "theme",
            "time_zone",
            "looks",
            "memberships",
        ]
        read_only_fields = ["id", "username"]


class TokenSerializer(ModelSerializer[PersonalToken]):
    class Meta:
        model = PersonalToken
        fields = ["id", "name", "prefix", "created_at", "expires_at", "last_used_at", "revoked_at"]
        read_only_fields = ["id", "prefix", "created_at", "last_used_at", "revoked_at"]


class NewTokenSerializer(TokenSerializer):
    """With the secret, which is answered this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(TokenSerializer.Meta):
        fields = [*TokenSerializer.Meta.fields, "secret"]


class AuditSerializer(ModelSerializer[AuditEntry]):
    class Meta:
        model = AuditEntry
        fields = ["id", "at", "action", "urn", "actor_name", "facts", "position", "digest"]


class VerificationSerializer(Serializer[Verification]):
    """What the verifier of the audit chain found."""

    intact = serializers.BooleanField()
    checked = serializers.IntegerField()
    unsealed = serializers.IntegerField()
    broken_at = serializers.IntegerField(allow_null=True)
    problem = serializers.CharField()
