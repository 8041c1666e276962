"""Workspaces, and the tickets by which people enter the origins of the live process."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle


@dataclass(frozen=True)
class Size:
    """What a workspace may use."""

    cpu: float
    memory_mb: int
    disk_mb: int
    gpu: float = 0.0
    """Graphics cards; a part of one is shared with others."""


class Workspace(models.Model):
    """A person's place to work: files that stay, and a Jupyter server while it runs.

    `status` is written by people (starting, stopping, archived) and by the reconciler, which follows
    the workload `workload_id`.
    """

    class Status(models.TextChoices):
        STOPPED = "stopped", _("Stopped")
        STARTING = "starting", _("Starting")
        RUNNING = "running", _("Running")
        STOPPING = "stopping", _("Stopping")
        FAILED = "failed", _("Failed")
        ARCHIVED = "archived", _("Archived")

    class Flavour(models.TextChoices):
        SMALL = "small", _("Small: 1 core, 2 GB, 5 GB of files")
        MEDIUM = "medium", _("Medium: 2 cores, 4 GB, 10 GB of files")
        LARGE = "large", _("Large: 4 cores, 8 GB, 20 GB of files")
        HALF_CARD = "half-gpu", _("Half a graphics card: 4 cores, 16 GB, 40 GB of files")
        CARD = "gpu", _("Graphics card: 8 cores, 32 GB, 80 GB of files")

    SIZES = {
        Flavour.SMALL: Size(1, 2048, 5_120),
        Flavour.MEDIUM: Size(2, 4096, 10_240),
        Flavour.LARGE: Size(4, 8192, 20_480),
        Flavour.HALF_CARD: Size(4, 16_384, 40_960, gpu=0.5),
        Flavour.CARD: Size(8, 32_768, 81_920, gpu=1),
    }

    class IdleLimit(models.IntegerChoices):
        HALF_HOUR = 30, _("after 30 minutes")
        HOUR = 60, _("after 1 hour")
        FOUR_HOURS = 240, _("after 4 hours")
        HALF_DAY = 720, _("after 12 hours")

    LEASE = timedelta(hours=12)

    lifecycle = Lifecycle(
        stopped={"starting", "archived"},
        starting={"running", "stopping", "failed"},
        running={"stopping", "stopped", "failed"},
        stopping={"stopped", "failed"},
        failed={"starting", "archived"},
        archived={"stopped"},
    )

    name = models.CharField(_("name"), max_length=80)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="workspaces", verbose_name=_("owner")
    )
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="workspaces", verbose_name=_("team")
    )
    environment = models.CharField(_("environment"), max_length=60, default="base")
    flavour = models.CharField(_("size"), max_length=10, choices=Flavour.choices, default=Flavour.SMALL)
    labels = models.JSONField(_("labels"), default=list, help_text="What its node has to have.")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.STOPPED)
    status_reason = models.CharField(max_length=500, blank=True)
    status_at = models.DateTimeField(auto_now_add=True)
    lease_until = models.DateTimeField(null=True, help_text=_("When it is stopped unless somebody renews."))
    lease_warned = models.BooleanField(default=False)
    idle_minutes = models.PositiveSmallIntegerField(
        _("stop when idle"), choices=IdleLimit.choices, default=IdleLimit.HOUR
    )
    active_at = models.DateTimeField(null=True, help_text=_("When something in it was last at work."))
    activity = models.JSONField(default=dict, help_text="What was last seen in it; see tending.Activity.")
    datasets = models.ManyToManyField(
        "datasets.DatasetVersion", related_name="+", blank=True, verbose_name=_("data sets")
    )
    share_terminals = models.BooleanField(
        _("team mates watch the terminals"), default=False, help_text=_("They see them and cannot type.")
    )
    server = models.CharField(
        max_length=40, blank=True, help_text="The engine's name for its server when that was a spare one."
    )
    cloned_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, related_name="+")
    last_log = models.TextField(blank=True, help_text=_("The last lines of the server that ended."))
    token = models.ForeignKey(
        "accounts.PersonalToken", on_delete=models.SET_NULL, null=True, related_name="+", editable=False
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("workspace")
        verbose_name_plural = _("workspaces")
        constraints = [
            models.UniqueConstraint(fields=["owner", "name"], name="workspace_name_once_per_owner")
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("workbench:workspace", args=[self.pk])

    @property
    def workload_id(self) -> str:
        """The engine's name for its server; the same one at each cold start, so that its user id stays too."""
        return self.server or f"w{self.pk}"

    @property
    def size_name(self) -> str:
        """The name of its size without the figures, for tables that have those in columns."""
        return str(self.get_flavour_display()).replace("：", ":").partition(":")[0]

    @property
    def size(self) -> Size:
        """What it may use."""
        return self.SIZES[Workspace.Flavour(self.flavour)]


class SpareServer(models.Model):
    """A Jupyter server that has loaded its code and waits for a workspace; see `spares`."""

    workload_id = models.CharField(max_length=40, primary_key=True)
    environment = models.CharField(
        max_length=80, help_text="The folder's name, which carries the lock's digest."
    )
    workspace = models.OneToOneField(Workspace, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("spare server")
        verbose_name_plural = _("spare servers")

    def __str__(self) -> str:
        return self.workload_id


class Environment(models.Model):
    """Packages that a team chose beside those of the base: locked by uv in a job, built once, used by name.

    `lock_name` is what compute knows it by (own-<digest of the lock>); it never changes once it is there.
    """

    class Status(models.TextChoices):
        LOCKING = "locking", _("Choosing versions")
        BUILDING = "building", _("Installing")
        READY = "ready", _("Ready")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(
        locking={"building", "failed"}, building={"ready", "failed"}, ready=set(), failed={"locking"}
    )

    name = models.SlugField(_("name"), max_length=40, unique=True)
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    requirements = models.TextField(_("packages"), help_text=_("One package per line."))
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.LOCKING)
    reason = models.TextField(blank=True)
    job_id = models.BigIntegerField(null=True, help_text="The job that locked it last.")
    steps = models.JSONField(default=dict, help_text="Name of each step that began, to the moment.")
    ended_at = models.DateTimeField(null=True)
    lock_name = models.CharField(max_length=60, blank=True)
    lock_sha256 = models.CharField(max_length=64, blank=True)
    workspace = models.ForeignKey(
        Workspace, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("workspace")
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("environment")
        verbose_name_plural = _("environments")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("workbench:environment", args=[self.pk])

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.status in (self.Status.READY, self.Status.FAILED)


class InstallOutput(models.Model):
    """A piece of what the installer of an environment said, in the order of the keys."""

    environment = models.ForeignKey(Environment, on_delete=models.CASCADE, related_name="+")
    text = models.TextField()

    class Meta:
        verbose_name = _("installer's output")
        verbose_name_plural = _("installer's output")
        indexes = [models.Index(fields=["environment", "id"], name="install_output_in_order")]

    def __str__(self) -> str:
        return self.text[:80]


class RecordingRule(models.Model):
    """Terminals of these workspaces are recorded: of a team, of a site's teams, or all. No row: none is."""

    class Scope(models.TextChoices):
        ALL = "all", _("All teams")
        SITE = "site", _("The teams of a site")
        TEAM = "team", _("One team")

    scope = models.CharField(max_length=4, choices=Scope.choices)
    site = models.OneToOneField("accounts.Site", on_delete=models.CASCADE, null=True, related_name="+")
    team = models.OneToOneField("accounts.Team", on_delete=models.CASCADE, null=True, related_name="+")
    keep_days = models.PositiveSmallIntegerField(_("days to keep"), default=90)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("recording rule")
        verbose_name_plural = _("recording rules")
        constraints = [
            models.UniqueConstraint(
                fields=["scope"], condition=models.Q(scope="all"), name="recording_rule_for_all_once"
            ),
            models.CheckConstraint(
                condition=models.Q(scope="all", site=None, team=None)
                | models.Q(scope="site", site__isnull=False, team=None)
                | models.Q(scope="team", site=None, team__isnull=False),
                name="recording_rule_names_its_scope",
            ),
        ]

    def __str__(self) -> str:
        return str(self.team or self.site or self.get_scope_display())


class Recording(models.Model):
    """What one person's terminal showed, from the opening of its socket to the end of it; see `recordings`."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    terminal = models.CharField(_("terminal"), max_length=60)
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    seconds = models.FloatField(default=0)
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes.")
    full = models.BooleanField(default=False, help_text="Whether it ended at its size limit.")
    expires_at = models.DateTimeField(help_text="When it is deleted.")

    class Meta:
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")
        indexes = [
            models.Index(fields=["user", "-started_at", "-id"], name="recording_of_person"),
            models.Index(fields=["workspace", "-started_at", "-id"], name="recording_of_workspace"),
            models.Index(fields=["expires_at"], name="recording_to_delete"),
        ]

    def __str__(self) -> str:
        return f"{self.workspace_id}/{self.terminal}"

    def get_absolute_url(self) -> str:
        return reverse("workbench:recording", args=[self.pk])


class Entry(models.Model):
    """A person's way into an origin of the live process: a ticket of 30 s, used once, becomes a cookie.

    Both are kept as SHA-256 only. It ends with the portal session that asked for it.
    """

    origin = models.CharField(max_length=40, help_text="w<workspace> or mlflow.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    session_key = models.CharField(max_length=40)
    ticket_digest = models.CharField(max_length=64, unique=True)
    ticket_expires_at = models.DateTimeField()
    cookie_digest = models.CharField(max_length=64, blank=True)
    redeemed_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("entry")
        verbose_name_plural = _("entries")
        indexes = [models.Index(fields=["expires_at"])]
        constraints = [
            models.UniqueConstraint(
                fields=["cookie_digest"], condition=~models.Q(cookie_digest=""), name="entry_cookie_once"
            )
        ]


class NotebookSnapshot(models.Model):
    """A notebook of a workspace as it was saved; see `snapshots`. `saved_at` is the file's own time."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="snapshots")
    path = models.CharField(max_length=1000)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    cells = models.PositiveIntegerField()
    saved_at = models.DateTimeField()
    taken_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("snapshot of a notebook")
        verbose_name_plural = _("snapshots of notebooks")
        indexes = [models.Index(fields=["workspace", "path", "-id"], name="snapshot_by_notebook")]

    def __str__(self) -> str:
        return f"{self.path} {self.taken_at:%Y-%m-%d %H:%M}"


class Registration(models.Model):
    """A trained model on its way from the tracker into the catalog: asked for, copied in the background, a version.

    `model` and `model_version` are MLflow's name and number where its client registered, else empty. `source` is
    where the files lie in the tracker. `code` is {path: sha256} of the code that the run was made with.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Being taken over")
        DONE = "done", _("Registered")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(waiting={"done", "failed"}, done=set(), failed={"waiting"})

    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    model = models.CharField(max_length=256, blank=True)
    model_version = models.CharField(max_length=20, blank=True)
    source = models.CharField(max_length=500)
    run_id = models.CharField(max_length=64, blank=True)
    capability = models.SlugField(_("capability"), max_length=63)
    number = models.CharField(_("version"), max_length=64, blank=True)
    job_id = models.BigIntegerField(null=True)
    workspace = models.ForeignKey(Workspace, on_delete=models.SET_NULL, null=True, related_name="+")
    code = models.JSONField(default=dict)
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    reason = models.TextField(blank=True)
    version = models.ForeignKey("catalog.Version", on_delete=models.SET_NULL, null=True, related_name="+")

    class Meta:
        verbose_name = _("registration")
        verbose_name_plural = _("registrations")
        indexes = [
            models.Index(
                fields=["status"], condition=models.Q(status="waiting"), name="registration_waiting"
            ),
            models.Index(fields=["team", "run_id"], name="registration_of_run"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["team", "model", "model_version"],
                condition=~models.Q(model=""),
                name="registration_once_per_model_version",
            )
        ]

    def __str__(self) -> str:
        return f"{self.capability} {self.number}".strip()


class Recipe(models.Model):
    """A way to train, published so that others run it with data and parameters of their own."""

    class Visibility(models.TextChoices):
        TEAM = "team", _("The team")
        ORGANISATION = "organisation", _("The whole organisation")

    slug = models.SlugField(_("short name"), max_length=63, unique=True)
    name = models.CharField(_("name"), max_length=100)
    summary = models.CharField(_("summary"), max_length=240, blank=True)
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    visibility = models.CharField(
        _("visible to"), max_length=12, choices=Visibility.choices, default=Visibility.TEAM
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("recipe")
        verbose_name_plural = _("recipes")

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("workbench:recipe", args=[self.slug])


class RecipeVersion(models.Model):
    """One immutable state of a recipe.

    `blueprint` is what is run (blueprints.Blueprint), `parameters` a list of blueprints.Parameter, `slots` the names
    of the data sets that it asks for. One that `refines` takes a version of a capability and makes the next one.
    """

    recipe = models.ForeignKey(Recipe, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField(_("version"))
    blueprint = models.JSONField(default=dict)
    parameters = models.JSONField(default=list)
    slots = models.JSONField(default=list)
    refines = models.BooleanField(default=False)
    note = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("version of a recipe")
        verbose_name_plural = _("versions of recipes")
        constraints = [models.UniqueConstraint(fields=["recipe", "number"], name="recipe_version_once")]

    def __str__(self) -> str:
        return f"{self.recipe.slug} v{self.number}"


class RecipeRun(models.Model):
    """One run of a recipe: its job, and the version that its model became where one was asked for."""

    recipe_version = models.ForeignKey(RecipeVersion, on_delete=models.PROTECT, related_name="runs")
    job = models.OneToOneField("compute.Job", on_delete=models.PROTECT, related_name="+")
    base = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, null=True, related_name="+")
    capability = models.SlugField(max_length=63, blank=True)
    number = models.CharField(max_length=64, blank=True)
    version = models.ForeignKey("catalog.Version", on_delete=models.SET_NULL, null=True, related_name="+")
    settled = models.BooleanField(default=False)
    reason = models.TextField(blank=True)

    class Meta:
        verbose_name = _("run of a recipe")
        verbose_name_plural = _("runs of recipes")
        indexes = [
            models.Index(fields=["id"], condition=models.Q(settled=False), name="recipe_run_unsettled")
        ]


class Sweep(models.Model):
    """One blueprint run with many sets of parameters: its trials are jobs, so many at once as it allows.

    `space` is what was asked for, `points` the sets of parameters that follow from it, in order. What has not been
    started when it is cancelled never is.
    """

    class Method(models.TextChoices):
        GRID = "grid", _("Grid: every combination")
        RANDOM = "random", _("Random: as many as you say")

    class Goal(models.TextChoices):
        MAXIMISE = "maximise", _("the higher the better")
        MINIMISE = "minimise", _("the lower the better")

    class EarlyStop(models.TextChoices):
        HALVING = "halving", _("Successive halving: at each rung the best share goes on")

    title = models.CharField(_("title"), max_length=200)
    team = models.ForeignKey(
        "accounts.Team", on_delete=models.PROTECT, related_name="+", verbose_name=_("team")
    )
    blueprint = models.JSONField(default=dict)
    fixed = models.JSONField(default=dict, help_text="Parameters that are the same in all trials.")
    method = models.CharField(max_length=10, choices=Method.choices, default=Method.GRID)
    space = models.JSONField(default=dict)
    points = models.JSONField(default=list)
    metric = models.CharField(max_length=100, blank=True)
    goal = models.CharField(max_length=10, choices=Goal.choices, default=Goal.MAXIMISE)
    at_once = models.PositiveSmallIntegerField(default=2)
    early_stop = models.CharField(max_length=10, choices=EarlyStop.choices, blank=True)
    first_step = models.PositiveIntegerField(default=1, help_text="The first rung of the halving.")
    factor = models.PositiveSmallIntegerField(default=3, help_text="One of so many goes on from each rung.")
    rungs = models.JSONField(default=dict, help_text="What each rung has seen; see halving.Rungs.")
    started = models.PositiveIntegerField(default=0, help_text="How many trials have a job.")
    cancelled_at = models.DateTimeField(null=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("sweep")
        verbose_name_plural = _("sweeps")

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        return reverse("workbench:sweep", args=[self.pk])


class Trial(models.Model):
    """One set of parameters of a sweep, with its job."""

    sweep = models.ForeignKey(Sweep, on_delete=models.CASCADE, related_name="trials")
    number = models.PositiveIntegerField()
    job = models.OneToOneField("compute.Job", on_delete=models.PROTECT, related_name="+")
    stopped_at = models.PositiveIntegerField(null=True, help_text="The step at which it was ended early.")

    class Meta:
        verbose_name = _("trial")
        verbose_name_plural = _("trials")
        constraints = [models.UniqueConstraint(fields=["sweep", "number"], name="trial_once")]
