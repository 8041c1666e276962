"""REST shapes of plans, subscriptions and keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.utils.functional import cached_property
from rest_framework import serializers

from apps.accounts.models import Team
from apps.catalog.models import Capability
from apps.core.serializers import ModelSerializer, NamedField, Serializer
from apps.store import selectors, services
from apps.store.batches import state_of
from apps.store.models import Batch, Plan, Review, SiteCopy, Standing, Subscription, SubscriptionKey
from apps.store.services import LONGEST_OVERLAP, OVERLAP

HOUR = timedelta(hours=1)


def _slug(field: str = "slug") -> serializers.SlugRelatedField[Any]:
    return serializers.SlugRelatedField(slug_field=field, read_only=True)


class PlanSerializer(ModelSerializer[Plan]):
    capability: serializers.SlugRelatedField[Any] = NamedField(
        slug_field="slug", queryset=Capability.objects.select_related("team")
    )
    created_by = _slug("username")
    successor = serializers.IntegerField(source="succession.successor_id", default=None, read_only=True)
    moves_on = serializers.DateField(source="succession.moves_on", default=None, read_only=True)

    class Meta:
        model = Plan
        fields = [
            "id", "capability", "name", "description", "limits", "approval", "valid_days", "trial", "reuse", "device",
            "status", "successor", "moves_on", "created_by", "created_at",
        ]  # fmt: skip
        read_only_fields = ["id", "status", "created_at"]


class PlanChangeSerializer(PlanSerializer):
    """What changes of a draft."""

    capability = _slug()


class SuccessorSerializer(Serializer[None]):
    """Which plan takes the place of a withdrawn one, and on which day its subscribers are moved, if on any."""

    successor: serializers.PrimaryKeyRelatedField[Any] = serializers.PrimaryKeyRelatedField(
        queryset=Plan.objects.all()
    )
    moves_on = serializers.DateField(required=False, allow_null=True, default=None)


class WithdrawSerializer(SuccessorSerializer):
    """Perhaps with the plan that takes its place."""

    successor: serializers.PrimaryKeyRelatedField[Any] = serializers.PrimaryKeyRelatedField(
        queryset=Plan.objects.all(), required=False, allow_null=True, default=None
    )


class SubscriptionSerializer(ModelSerializer[Subscription]):
    capability = _slug()
    plan_name = serializers.CharField(source="plan.name", read_only=True)
    team = _slug()
    requested_by = _slug("username")
    successor = serializers.IntegerField(source="plan.succession.successor_id", default=None, read_only=True)
    moves_on = serializers.DateField(source="plan.succession.moves_on", default=None, read_only=True)
    approvals_given = serializers.SerializerMethodField()
    approvals_needed = serializers.SerializerMethodField(help_text="0 where it waits for nobody")
    why_not_grantable = serializers.SerializerMethodField(
        help_text="why nobody can grant any more what it waits for, and what to do; else empty"
    )

    class Meta:
        model = Subscription
        fields = [
            "id", "capability", "plan", "plan_name", "successor", "moves_on", "team", "requested_by", "use_case",
            "status", "status_reason", "approvals_given", "approvals_needed", "why_not_grantable",
            "ticket", "created_at", "granted_at", "expires_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields

    def get_approvals_given(self, subscription: Subscription) -> int:
        return selectors.agreed(subscription)[0]

    def get_approvals_needed(self, subscription: Subscription) -> int:
        return selectors.agreed(subscription)[1]

    def get_why_not_grantable(self, subscription: Subscription) -> str:
        return services.why_not_grantable(subscription)


class SubscribeSerializer(Serializer[None]):
    """Which plan, for which team, and what for."""

    plan = serializers.IntegerField()
    team: serializers.SlugRelatedField[Any] = NamedField(slug_field="slug", queryset=Team.objects.all())
    use_case = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class CopySerializer(ModelSerializer[SiteCopy]):
    """A capability as a subscribing team runs it at its own site."""

    capability = serializers.CharField(source="subscription.capability.slug", read_only=True)
    team = serializers.CharField(source="subscription.team.slug", read_only=True)
    site = _slug()
    version = serializers.CharField(source="deployment.version.number", default=None, read_only=True)
    digest = serializers.CharField(source="deployment.version.digest", default=None, read_only=True)

    class Meta:
        model = SiteCopy
        fields = [
            "id", "capability", "subscription", "team", "site", "status", "reason", "deployment", "successor",
            "version", "digest", "asked_at", "ended_at",
        ]  # fmt: skip
        read_only_fields = fields


class ReuseSerializer(Serializer[None]):
    """At the site of which team, under which plan (else the first that allows it), and what for."""

    team: serializers.SlugRelatedField[Any] = NamedField(
        slug_field="slug", queryset=Team.objects.select_related("site")
    )
    plan: serializers.PrimaryKeyRelatedField[Any] = serializers.PrimaryKeyRelatedField(
        queryset=Plan.objects.select_related("capability__team"), required=False, default=None
    )
    use_case = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)


class KeySerializer(ModelSerializer[SubscriptionKey]):
    prefix = serializers.CharField(source="grant.prefix", read_only=True)
    label = serializers.CharField(source="grant.label", read_only=True)  # type: ignore[assignment]
    status = serializers.CharField(source="grant.status", read_only=True)
    expires_at = serializers.DateTimeField(source="grant.expires_at", read_only=True)
    last_used_at = serializers.DateTimeField(source="grant.last_used_at", read_only=True)
    addresses = serializers.JSONField(source="grant.addresses", read_only=True)
    created_by = _slug("username")

    class Meta:
        model = SubscriptionKey
        fields = [
            "id", "prefix", "label", "status", "expires_at", "last_used_at", "addresses", "created_by",
            "created_at", "replaced_by",
        ]  # fmt: skip
        read_only_fields = fields


class FreshKeySerializer(KeySerializer):
    """A key just made, with the secret that is shown this once."""

    secret = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "secret"]
        read_only_fields = fields


class LabelSerializer(Serializer[None]):
    """What uses the key, from where, and until when; without an end as long as the subscription."""

    label = serializers.CharField(  # type: ignore[assignment]
        required=False, allow_blank=True, default="", max_length=80
    )
    addresses = serializers.ListField(
        child=serializers.CharField(max_length=50), required=False, default=list
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class RotateSerializer(Serializer[None]):
    """For how long the old key works on, and when the new one ends (as the old one would have, unless told)."""

    overlap_hours = serializers.IntegerField(
        required=False,
        default=OVERLAP // HOUR,
        min_value=0,
        max_value=LONGEST_OVERLAP // HOUR,
    )
    expires_at = serializers.DateTimeField(required=False, allow_null=True, default=None)


class SuspensionSerializer(Serializer[None]):
    """Why; the subscriber reads it."""

    reason = serializers.CharField(max_length=500)


class StandingSerializer(ModelSerializer[Standing]):
    """What the store computed; `calls` and `availability` are of the last 30 days."""

    class Meta:
        model = Standing
        fields = [
            *("rating", "reviews", "subscribers", "calls", "availability", "framework", "licence"),
            *("data_types", "badges", "computed_at"),
        ]
        read_only_fields = fields


class ListingSerializer(ModelSerializer[Capability]):
    """A capability as the store lists it."""

    team = _slug()
    site = serializers.SlugRelatedField[Any](source="team.site", slug_field="slug", read_only=True)
    standing = serializers.SerializerMethodField()

    class Meta:
        model = Capability
        fields = [
            *("slug", "name", "summary", "domain", "tags", "team", "site", "status", "published_at"),
            *("deprecation_note", "retires_on", "standing"),
        ]
        read_only_fields = fields

    def get_standing(self, capability: Capability) -> dict[str, Any] | None:
        found = getattr(capability, "standing", None)
        return self._standing.to_representation(found) if found else None

    @cached_property
    def _standing(self) -> StandingSerializer:
        """One for a whole list: working out its fields takes longer than filling them."""
        return StandingSerializer()


class ListedSerializer(ListingSerializer):
    """One capability, with whom to write to about it."""

    contacts = serializers.SerializerMethodField()

    class Meta(ListingSerializer.Meta):
        fields = [*ListingSerializer.Meta.fields, "contacts"]
        read_only_fields = fields

    def get_contacts(self, capability: Capability) -> list[dict[str, str]]:
        return [
            {"name": user.get_full_name() or user.get_username(), "email": user.email}
            for user in selectors.contacts_of(capability)
        ]


class ReviewSerializer(ModelSerializer[Review]):
    user = _slug("username")
    answered_by = _slug("username")

    class Meta:
        model = Review
        fields = [
            *(
                "id",
                "user",
                "rating",
                "text",
                "created_at",
                "edited_at",
                "answer",
                "answered_by",
                "answered_at",
            ),
        ]
        read_only_fields = fields


class NewReviewSerializer(Serializer[None]):
    """Stars and words."""

    rating = serializers.IntegerField(min_value=1, max_value=5)
    text = serializers.CharField(required=False, allow_blank=True, default="", max_length=4000)


class AnswerSerializer(Serializer[None]):
    """What the providing team says to a review."""

    text = serializers.CharField(allow_blank=True, max_length=4000)


class FollowSerializer(Serializer[None]):
    """Whether a person follows a capability, and its team."""

    capability = serializers.BooleanField()
    team = serializers.BooleanField()


class BatchSerializer(ModelSerializer[Batch]):
    """A file of rows: `state` says how far it is, and why it was refused or stopped."""

    capability = _slug()
    state = serializers.SerializerMethodField()

    class Meta:
        model = Batch
        fields = ["id", "capability", "version", "file_name", "size", "created_at", "state"]
        read_only_fields = fields

    def get_state(self, batch: Batch) -> dict[str, Any]:
        return state_of(batch)


class BatchFileSerializer(Serializer[None]):
    """A CSV file in UTF-8, or a Parquet file."""

    file = serializers.FileField()


class ChangeSerializer(Serializer[None]):
    """Another plan, or none to renew."""

    plan = serializers.IntegerField(required=False, allow_null=True)
    reason = serializers.CharField(required=False, allow_blank=True, default="", max_length=2000)
    done = serializers.BooleanField(read_only=True)
    ticket = serializers.IntegerField(read_only=True, allow_null=True)


class TrustedSerializer(Serializer[None]):
    """Short names of teams."""

    teams: serializers.SlugRelatedField[Any] = NamedField(
        slug_field="slug", queryset=Team.objects.all(), many=True
    )


class RetireSerializer(Serializer[None]):
    """For how many days nobody must have called it."""

    quiet_days = serializers.IntegerField()
