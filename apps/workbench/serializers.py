"""REST shapes of the workbench."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.models import Site, Team
from apps.compute.environments.diagnosis import what_happened
from apps.compute.serializers import JobDataField, LabelsField
from apps.core.serializers import ModelSerializer, Serializer
from apps.workbench.models import (
    Environment,
    NotebookSnapshot,
    Recipe,
    RecipeRun,
    Recording,
    RecordingRule,
    Registration,
    Sweep,
    Workspace,
)
from apps.workbench.placing import MOST_ROWS
from apps.workbench.recordings import KEEP_DAYS, MOST_DAYS


class WorkspaceSerializer(ModelSerializer[Workspace]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    owner: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )
    cpu = serializers.FloatField(source="size.cpu", read_only=True)
    memory_mb = serializers.IntegerField(source="size.memory_mb", read_only=True)
    disk_mb = serializers.IntegerField(source="size.disk_mb", read_only=True)
    gpu = serializers.FloatField(source="size.gpu", read_only=True)

    class Meta:
        model = Workspace
        fields = [
            "id",
            "name",
            "owner",
            "team",
            "environment",
            "labels",
            "flavour",
            "cpu",
            "memory_mb",
            "disk_mb",
            "gpu",
            "status",
            "status_reason",
            "status_at",
            "lease_until",
            "idle_minutes",
            "share_terminals",
            "active_at",
            "activity",
            "cloned_from",
            "datasets",
            "created_at",
        ]
        read_only_fields = fields


class EnvironmentSerializer(ModelSerializer[Environment]):
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    what_to_do = serializers.SerializerMethodField()

    class Meta:
        model = Environment
        fields = [
            *("id", "name", "team", "requirements", "status", "reason", "what_to_do", "steps", "job_id"),
            *("lock_name", "lock_sha256", "workspace", "created_by", "created_at", "ended_at"),
        ]
        read_only_fields = fields

    def get_what_to_do(self, environment: Environment) -> str:
        """For one that failed: what happened and what to do, in the reader's language."""
        return " ".join(what_happened(environment.reason)) if environment.status == "failed" else ""


class NewEnvironmentSerializer(Serializer[dict[str, Any]]):
    """Packages beside those of the base."""

    name = serializers.SlugField(max_length=40)
    team = serializers.SlugField(help_text="Short name of the team.")
    requirements = serializers.CharField(max_length=20_000, help_text="One package per line.")


class NewWorkspaceSerializer(Serializer[dict[str, Any]]):
    """What a new workspace needs."""

    name = serializers.CharField(max_length=80)
    team = serializers.SlugField(help_text="Short name of the team.")
    flavour = serializers.ChoiceField(choices=Workspace.Flavour.choices, default=Workspace.Flavour.SMALL)
    environment = serializers.CharField(max_length=60, default="base")
    labels = LabelsField(required=False)
    datasets: serializers.ListField = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        help_text="Ids of data set versions that are read-only in it.",
    )


class WorkspaceChangeSerializer(Serializer[dict[str, Any]]):
    """What may be changed later."""

    flavour = serializers.ChoiceField(choices=Workspace.Flavour.choices, required=False)
    idle_minutes = serializers.ChoiceField(choices=Workspace.IdleLimit.choices, required=False)
    environment = serializers.CharField(max_length=60, required=False)
    labels = LabelsField(required=False)
    share_terminals = serializers.BooleanField(
        required=False, help_text="Whether developers of the team may watch its terminals."
    )
    datasets: serializers.ListField = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        max_length=50,
        help_text="Numbers (id) of data set versions to have read-only at /datasets/<name>/<version>.",
    )


class CloneSerializer(Serializer[dict[str, Any]]):
    """The copy's name."""

    name = serializers.CharField(max_length=80)


class NotebookOfCallsSerializer(Serializer[dict[str, Any]]):
    """The ids of the calls that the notebook loads."""

    calls = serializers.ListField(child=serializers.UUIDField(), min_length=1, max_length=MOST_ROWS)


class RegisterFilesSerializer(Serializer[dict[str, Any]]):
    """A model among a workspace's files, and the capability that it becomes a version of."""

    path = serializers.CharField(
        max_length=1000, help_text="A file or a folder, from the workspace's top: model.onnx"
    )
    capability = serializers.CharField(max_length=63, help_text="A new one is made as a draft.")
    number = serializers.CharField(
        max_length=64, required=False, default="", help_text="Left out: the next minor version."
    )


class RunFileSerializer(Serializer[dict[str, Any]]):
    """A notebook or script of a workspace; all files of it are copied as they are now."""

    path = serializers.CharField(
        max_length=1000, help_text="From the workspace's top: train.py, lib/model.ipynb"
    )
    params = serializers.DictField(
        default=dict, help_text="A notebook's variables; atrium.params() of a script."
    )
    resources = serializers.DictField(
        default=dict, help_text="cpu, memory_mb, gpu, disk_mb, tmp_mb; else 1 core and 2048 MB."
    )
    datasets = JobDataField(help_text="<data set>@<number or tag>, read-only beside those of the workspace.")
    environment = serializers.CharField(max_length=60, required=False, help_text="Else the workspace's.")
    labels = LabelsField(
        required=False,
        help_text="Only a node that has all of these labels takes it; left out: the workspace's.",
    )
    timeout_s = serializers.FloatField(min_value=0.1, default=3600)
    cell_timeout_s = serializers.FloatField(
        required=False,
        min_value=0,
        help_text="End a notebook's cell that gave no output and used no processor for so long; 0: never, "
        "left out: two hours.",
    )
    max_attempts = serializers.IntegerField(min_value=1, max_value=10, default=1)
    priority = serializers.IntegerField(min_value=1, max_value=9, default=5, help_text="1 is first.")


class SaveEnvironmentSerializer(Serializer[dict[str, Any]]):
    """The name of the environment that a workspace's packages become."""

    name = serializers.SlugField(max_length=40)


class NotebookSerializer(Serializer[Any]):
    """A notebook of a workspace; a deleted one has no size, and its snapshots."""

    path = serializers.CharField()
    size = serializers.IntegerField(allow_null=True)
    deleted = serializers.BooleanField()
    snapshots = serializers.IntegerField(help_text="How many of it are kept.")
    taken_at = serializers.DateTimeField(allow_null=True, help_text="When the newest snapshot was taken.")


class PlacedSerializer(Serializer[dict[str, Any]]):
    """Where a notebook was put."""

    workspace = serializers.IntegerField()
    path = serializers.CharField()


class RegistrationSerializer(ModelSerializer[Registration]):
    """A model on its way from the tracker into the catalog."""

    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Registration
        fields = [
            *(
                "id",
                "team",
                "capability",
                "number",
                "model",
                "model_version",
                "run_id",
                "job_id",
                "workspace",
            ),
            *("code", "status", "reason", "version", "created_by", "created_at"),
        ]
        read_only_fields = fields


class NewRegistrationSerializer(Serializer[dict[str, Any]]):
    """Make a version of a capability from a model that a run logged."""

    team = serializers.SlugField(help_text="Short name of the team whose run it is")
    run_id = serializers.RegexField(r"^[0-9a-f]{32}$")
    model = serializers.CharField(max_length=256, default="model", help_text="The model's name in the run")
    capability = serializers.CharField(max_length=63)
    number = serializers.CharField(
        max_length=64,
        required=False,
        allow_blank=True,
        default="",
        help_text="The next minor one when left out",
    )


class RecipeSerializer(ModelSerializer[Recipe]):
    """A recipe with what its newest version takes."""

    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    number = serializers.SerializerMethodField()
    parameters = serializers.SerializerMethodField()
    slots = serializers.SerializerMethodField()
    refines = serializers.SerializerMethodField()
    labels = serializers.SerializerMethodField()

    class Meta:
        model = Recipe
        fields = [
            *(
                "id",
                "slug",
                "name",
                "summary",
                "team",
                "visibility",
                "number",
                "parameters",
                "slots",
                "refines",
                "labels",
            ),
            "created_at",
        ]
        read_only_fields = fields

    def get_number(self, recipe: Recipe) -> int:
        return int(_newest(recipe).number)

    def get_parameters(self, recipe: Recipe) -> list[dict[str, Any]]:
        return list(_newest(recipe).parameters)

    def get_slots(self, recipe: Recipe) -> list[str]:
        return list(_newest(recipe).slots)

    def get_refines(self, recipe: Recipe) -> bool:
        return bool(_newest(recipe).refines)

    def get_labels(self, recipe: Recipe) -> list[str]:
        return list(_newest(recipe).blueprint.get("labels", []))


def _newest(recipe: Recipe) -> Any:
    """The newest of the versions, which the list has fetched together."""
    return max(recipe.versions.all(), key=lambda version: version.number)


class NewRecipeSerializer(Serializer[dict[str, Any]]):
    """A recipe, or the next version of one: of a job, or of stored files with the one to start."""

    slug = serializers.CharField(max_length=63)
    team = serializers.SlugField()
    job = serializers.IntegerField(required=False, help_text="Take over what this job ran")
    files = serializers.DictField(
        child=serializers.RegexField(r"^[0-9a-f]{64}$"),
        required=False,
        help_text="Path to SHA-256 of stored files",
    )
    entry = serializers.CharField(required=False, help_text="The script or notebook among `files` to start")
    environment = serializers.CharField(max_length=60, required=False, default="base")
    name = serializers.CharField(max_length=100, required=False, allow_blank=True, default="")
    summary = serializers.CharField(max_length=240, required=False, allow_blank=True, default="")
    visibility = serializers.ChoiceField(choices=Recipe.Visibility.choices, required=False, default="team")
    parameters = serializers.ListField(child=serializers.DictField(), required=False)
    slots = serializers.ListField(child=serializers.CharField(max_length=63), required=False)
    refines = serializers.BooleanField(required=False, default=False)
    labels = LabelsField(required=False)
    note = serializers.CharField(max_length=20_000, required=False, allow_blank=True, default="")


class RunRecipeSerializer(Serializer[dict[str, Any]]):
    """A run of a recipe."""

    team = serializers.SlugField()
    number = serializers.IntegerField(
        required=False, help_text="The recipe's version; the newest when left out"
    )
    params = serializers.DictField(required=False, default=dict)
    datasets = serializers.DictField(
        child=serializers.CharField(), required=False, default=dict, help_text="Slot to `<data set>/<number>`"
    )
    base = serializers.IntegerField(required=False, help_text="The id of the version to refine")
    capability = serializers.CharField(max_length=63, required=False, allow_blank=True, default="")
    resources = serializers.DictField(required=False, default=dict)
    timeout_s = serializers.FloatField(min_value=1, required=False, help_text="Left out: the recipe's")
    max_attempts = serializers.IntegerField(
        min_value=1, max_value=10, required=False, help_text="Left out: the recipe's"
    )
    priority = serializers.IntegerField(min_value=1, max_value=9, default=5, help_text="1 is first.")
    labels = LabelsField(required=False)


class RecipeRunSerializer(ModelSerializer[RecipeRun]):
    """A run of a recipe: its job, and the version that its model became."""

    recipe = serializers.CharField(source="recipe_version.recipe.slug", read_only=True)
    recipe_number = serializers.IntegerField(source="recipe_version.number", read_only=True)
    job_status = serializers.CharField(source="job.status", read_only=True)

    class Meta:
        model = RecipeRun
        fields = [
            *(
                "id",
                "recipe",
                "recipe_number",
                "job",
                "job_status",
                "base",
                "capability",
                "version",
                "settled",
            ),
            "reason",
        ]
        read_only_fields = fields


class SweepSerializer(ModelSerializer[Sweep]):
    """A sweep; `points` are the sets of parameters that it tries, `started` how many of them have a job."""

    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    labels = serializers.SerializerMethodField()

    class Meta:
        model = Sweep
        fields = [
            *(
                "id",
                "title",
                "team",
                "method",
                "space",
                "points",
                "fixed",
                "metric",
                "goal",
                "at_once",
                "started",
                "labels",
            ),
            *("early_stop", "first_step", "factor", "cancelled_at", "created_at"),
        ]
        read_only_fields = fields

    def get_labels(self, sweep: Sweep) -> list[str]:
        return list(sweep.blueprint.get("labels", []))


class TrialSerializer(Serializer[Any]):
    """A trial of a sweep, best first."""

    number = serializers.IntegerField(source="trial.number")
    job = serializers.IntegerField(source="trial.job_id")
    status = serializers.CharField(source="trial.job.status")
    params = serializers.DictField()
    value = serializers.FloatField(allow_null=True)
    steps = serializers.IntegerField(allow_null=True)
    stopped_at = serializers.IntegerField(source="trial.stopped_at", allow_null=True)


class NewSweepSerializer(Serializer[dict[str, Any]]):
    """A sweep over a job's code, or over a script or notebook that is sent along."""

    title = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    team = serializers.SlugField()
    job = serializers.IntegerField(required=False)
    script = serializers.CharField(max_length=1_000_000, trim_whitespace=False, required=False)
    notebook = serializers.CharField(max_length=8_000_000, trim_whitespace=False, required=False)
    environment = serializers.CharField(max_length=60, required=False, default="base")
    resources = serializers.DictField(required=False, default=dict)
    timeout_s = serializers.FloatField(min_value=0.1, default=3600)
    params = serializers.DictField(required=False, default=dict, help_text="The same in all trials")
    datasets = JobDataField(
        help_text="<data set>@<number or tag>, the same in all trials; left out: those of the job."
    )
    space = serializers.DictField(help_text="For each parameter a list, or {min, max, scale, type, steps}")
    method = serializers.ChoiceField(choices=Sweep.Method.choices, required=False, default="grid")
    count = serializers.IntegerField(required=False, default=0, help_text="How many draws, for `random`")
    seed = serializers.IntegerField(required=False, default=0)
    metric = serializers.CharField(max_length=100)
    goal = serializers.ChoiceField(choices=Sweep.Goal.choices, required=False, default="maximise")
    at_once = serializers.IntegerField(required=False, default=2)
    labels = LabelsField(required=False)
    early_stop = serializers.ChoiceField(
        choices=Sweep.EarlyStop.choices, required=False, allow_blank=True, default=""
    )
    first_step = serializers.IntegerField(
        required=False, default=1, help_text="The first rung, for `halving`"
    )
    factor = serializers.IntegerField(required=False, default=3, help_text="One of so many goes on")


class SnapshotSerializer(ModelSerializer[NotebookSnapshot]):
    """A notebook as it was saved."""

    class Meta:
        model = NotebookSnapshot
        fields = ["id", "path", "cells", "size", "sha256", "saved_at", "taken_at"]
        read_only_fields = fields


class RecordingSerializer(ModelSerializer[Recording]):
    """A recorded terminal; `cast/` below it is the file (asciicast v2)."""

    user: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = Recording
        fields = [
            *("id", "workspace", "user", "terminal", "started_at", "ended_at", "seconds", "size", "full"),
            "expires_at",
        ]
        read_only_fields = fields


class RecordingRuleSerializer(ModelSerializer[RecordingRule]):
    """Whose terminals are recorded: a team's, those of a site's teams, or with neither all."""

    site: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Site.objects.all(), required=False, allow_null=True
    )
    team: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="slug", queryset=Team.objects.all(), required=False, allow_null=True
    )
    keep_days = serializers.IntegerField(min_value=1, max_value=MOST_DAYS, required=False, default=KEEP_DAYS)
    made_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True
    )

    class Meta:
        model = RecordingRule
        fields = ["id", "scope", "site", "team", "keep_days", "made_by", "made_at"]
        read_only_fields = ["id", "scope", "made_by", "made_at"]
