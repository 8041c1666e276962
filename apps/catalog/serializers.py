"""REST shapes of capabilities and versions."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.models import Team
from apps.catalog import cards
from apps.catalog.models import Capability, Version
from apps.catalog.uses import FEWEST_DAYS, MOST_DAYS, QUIET_DAYS
from apps.core.serializers import ModelSerializer, NamedField, Serializer


class CapabilitySerializer(ModelSerializer[Capability]):
    """A capability. `slug` and `team` are given once; the rest can be edited."""

    team: serializers.SlugRelatedField[Any] = NamedField(slug_field="slug", queryset=Team.objects.all())
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    name = serializers.CharField(required=False)
    card_missing = serializers.SerializerMethodField(help_text="Sections of a model card that the card lacks")

    class Meta:
        model = Capability
        fields = [
            *(
                "card_missing",
                "id",
                "slug",
                "name",
                "summary",
                "card",
                "domain",
                "tags",
                "team",
                "visibility",
                "status",
            ),
            *("published_at", "deprecated_at", "deprecation_note", "retires_on", "created_at", "changed_at"),
        ]
        read_only_fields = [
            *(
                "status",
                "published_at",
                "deprecated_at",
                "deprecation_note",
                "retires_on",
                "created_at",
                "changed_at",
            ),
        ]
        extra_kwargs: dict[str, Any] = {"slug": {"validators": []}}

    def get_card_missing(self, capability: Capability) -> list[str]:
        return cards.missing_sections(capability.card)


class CapabilityChangeSerializer(Serializer[Any]):
    """What can be changed of a capability."""

    name = serializers.CharField(required=False)
    summary = serializers.CharField(required=False, allow_blank=True)
    card = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    domain = serializers.CharField(required=False, allow_blank=True)
    tags = serializers.ListField(child=serializers.CharField(), required=False)
    visibility = serializers.ChoiceField(choices=Capability.Visibility.choices, required=False)


class DeprecationSerializer(Serializer[Any]):
    """When it goes, and what to use instead."""

    note = serializers.CharField(required=False, allow_blank=True, default="")
    retires_on = serializers.DateField(required=False, allow_null=True, default=None)


class VersionDeprecationSerializer(DeprecationSerializer):
    """When a version goes, what to do, and the number of the version to call instead."""

    successor = serializers.CharField(required=False, allow_blank=True, max_length=64, default="")


class VersionSerializer(ModelSerializer[Version]):
    """A version as it is read."""

    capability: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", read_only=True
    )
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    successor: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        source="heir",
        slug_field="number",
        read_only=True,
        help_text="for as long as callers can be sent to it",
    )

    class Meta:
        model = Version
        fields = [
            *("id", "capability", "number", "status", "changelog", "digest", "source_digest", "size"),
            *(
                "framework",
                "runtime",
                "environment",
                "signature",
                "cases_count",
                "manifest",
                "report",
                "failure",
            ),
            *("dataset_version_urn", "code_digest", "training_job_urn", "job_id", "parameters"),
            *("created_by", "created_at", "packaged_at"),
            *("deprecated_at", "deprecation_note", "retires_on", "successor"),
        ]
        read_only_fields = fields


class NewVersionSerializer(Serializer[Any]):
    """A new version: `file` (zip, tar or one file), or `files` as {path: sha256} of stored objects."""

    capability = serializers.SlugField()
    number = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="The next minor version when it is left out"
    )
    file = serializers.FileField(required=False)
    files = serializers.JSONField(required=False)
    changelog = serializers.CharField(required=False, allow_blank=True, default="")
    dataset_version = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="<data set>/<number>, for the lineage"
    )
    code_digest = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="A git commit, or the SHA-256 of the code"
    )
    training_job = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        help_text="The number of the job that trained it; a job's own token says it by itself",
    )
    parameters = serializers.JSONField(required=False)
    digest = serializers.CharField(
        required=False, allow_blank=True, default="", help_text="The digest over all files, to be checked"
    )
    package = serializers.BooleanField(required=False, default=True)
    run = serializers.CharField(
        required=False,
        allow_blank=True,
        default="",
        max_length=64,
        help_text="The run of the experiment tracker that made it, for the lineage",
    )


class Int8Serializer(Serializer[Any]):
    """The number of the int8 version; the next free patch version when it is left out."""

    number = serializers.CharField(required=False, allow_blank=True, default="")


class MemberSerializer(Serializer[Any]):
    """A member of a composite; `value` is the field's value that leads to it in a switch."""

    version = serializers.IntegerField(help_text="The id of a packaged version")
    name = serializers.CharField(required=False, allow_blank=True, default="")
    value = serializers.CharField(required=False, allow_blank=True, default="")


class CompositeSerializer(Serializer[Any]):
    """A composite: members, and either a shape that is wired by names, or the graph itself."""

    capability = serializers.SlugField()
    number = serializers.CharField()
    members = MemberSerializer(many=True)
    shape = serializers.ChoiceField(choices=["sequence", "average", "vote", "switch"], required=False)
    on = serializers.CharField(required=False, allow_blank=True, default="")
    graph = serializers.JSONField(required=False)
    changelog = serializers.CharField(required=False, allow_blank=True, default="")


class RuleFailureSerializer(Serializer[Any]):
    """A rule that could not be applied to some logged calls; `error` is what was wrong with the first one."""

    rule = serializers.CharField(help_text="empty: all together, since what they found was too large to keep")
    calls = serializers.IntegerField()
    first_call = serializers.UUIDField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()
    error = serializers.CharField()


class ParsingSerializer(Serializer[Any]):
    """The parsing rules that count now: JMESPath expressions by name. Revision 0 is what the package ships."""

    failures = RuleFailureSerializer(many=True)
    revision = serializers.IntegerField()
    rules = serializers.DictField(child=serializers.CharField())
    note = serializers.CharField(source="row.note", default="")
    created_by = serializers.CharField(source="row.created_by.username", default=None, allow_null=True)
    created_at = serializers.DateTimeField(source="row.created_at", default=None, allow_null=True)


class ParsingChangeSerializer(Serializer[Any]):
    """New rules. `revision` is the one that they were made from; with it a write that comes late is refused."""

    rules = serializers.JSONField(help_text="{name: JMESPath expression}")
    note = serializers.CharField(required=False, allow_blank=True, default="")
    revision = serializers.IntegerField(required=False, allow_null=True, default=None, min_value=0)


class ParsingTrialSerializer(Serializer[Any]):
    """Rules to try: on `document`, else on the version's newest logged calls and shipped cases."""

    rules = serializers.JSONField(help_text="{name: JMESPath expression}")
    document = serializers.JSONField(required=False, help_text='{"inputs": […], "outputs": […]}')


class RetireVersionSerializer(Serializer[Any]):
    """For how many days nobody must have called it."""

    quiet_days = serializers.IntegerField(
        required=False, default=QUIET_DAYS, min_value=FEWEST_DAYS, max_value=MOST_DAYS
    )


class TriedSerializer(Serializer[Any]):
    """One rule on one call: `error` says what is wrong, `value` is null where it finds nothing."""

    name = serializers.CharField()
    expression = serializers.CharField()
    error = serializers.CharField()
    value = serializers.JSONField()
    found = serializers.IntegerField(help_text="In how many of `of` calls the rule finds something")
    of = serializers.IntegerField()


class ObjectSerializer(Serializer[Any]):
    """A stored file."""

    sha256 = serializers.CharField()
    size = serializers.IntegerField()


class ComparisonRowSerializer(Serializer[Any]):
    """One property of all compared versions, in the order of `versions`."""

    title = serializers.CharField()
    values = serializers.ListField()
    kind = serializers.CharField()
    differs = serializers.BooleanField()


class ComparisonSectionSerializer(Serializer[Any]):
    """Rows that belong together."""

    name = serializers.CharField()
    title = serializers.CharField()
    rows_differ = serializers.IntegerField()
    rows = ComparisonRowSerializer(many=True)


class VersionComparisonSerializer(Serializer[Any]):
    """Versions side by side; `cards` holds the text of each version's card."""

    versions = serializers.ListField(child=serializers.CharField())
    sections = ComparisonSectionSerializer(many=True)
    cards = serializers.ListField(child=serializers.CharField(allow_blank=True))
