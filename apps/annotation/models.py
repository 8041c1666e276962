"""Projects collect calls that people should look at; tasks hold them; slots are the places where people label."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from apps.core.lifecycle import Lifecycle
from apps.core.telling import sentence


class Project(models.Model):
    """One question about the calls of one capability, and the people who answer it.

    `kind` names a label type (`label_types`), `options` are what that type keeps; `labels` is
    [{"value", "title", "hotkey"}]; `show` says how an input is shown.
    """

    class Show(models.TextChoices):
        IMAGE = "image", _("Image")
        TEXT = "text", _("Text")
        ROW = "row", _("Table row")
        SERIES = "series", _("Series")
        TABLE = "table", _("Table")
        PAIR = "pair", _("Two side by side")

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        PAUSED = "paused", _("Paused")
        CLOSED = "closed", _("Closed")

    class Order(models.TextChoices):
        PRIORITY = "priority", _("The most urgent first")
        SEQUENTIAL = "sequential", _("As they came")
        UNIFORM = "uniform", _("Shuffled")
        UNCERTAINTY = "uncertainty", _("The least certain first")

    lifecycle = Lifecycle(open={"paused", "closed"}, paused={"open", "closed"}, closed={"open"})

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    team = models.ForeignKey("accounts.Team", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=100)
    question = models.CharField(_("question"), max_length=200)
    guideline = models.TextField(_("guideline"), blank=True)
    show = models.CharField(_("shown as"), max_length=8, choices=Show.choices)
    kind = models.CharField(_("asked for"), max_length=12, default="single")
    options = models.JSONField(default=dict)
    labels = models.JSONField(_("labels"), default=list)
    overlap = models.PositiveSmallIntegerField(_("people per task"), default=2)
    blind = models.BooleanField(_("hide the model's answer"), default=False)
    near = models.BooleanField(_("put almost equal inputs into one task"), default=False)
    pseudonymous = models.BooleanField(
        _("keep people's names out of data sets"), default=False, db_default=False
    )
    order = models.CharField(_("order"), max_length=12, choices=Order.choices, default=Order.PRIORITY)
    per_person = models.PositiveIntegerField(_("tasks per person at most"), null=True, blank=True)
    golden_every = models.PositiveSmallIntegerField(
        _("one task in so many is a golden one"), null=True, blank=True
    )
    gate = models.FloatField(_("accuracy to decide on"), null=True, blank=True)
    assignees = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+", blank=True)
    dataset = models.ForeignKey("datasets.Dataset", on_delete=models.PROTECT, related_name="+")
    target = models.CharField(_("column for the label"), max_length=100)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    weighed = models.BigIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text="The sum of the numbers of the labels in disagreements that proposals rest on (`weighing`).",
    )
    trusted = models.JSONField(
        null=True,
        editable=False,
        help_text="How often each person is right, by name, and of how many answers; null: nothing is learnt yet.",
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("annotation project")
        verbose_name_plural = _("annotation projects")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(overlap__gte=1, overlap__lte=9), name="project_overlap_range"
            )
        ]

    def __str__(self) -> str:
        return self.name


class PullRule(models.Model):
    """Which logged calls become tasks. `share` is the probability with which a matching call is taken."""

    class Kind(models.TextChoices):
        COMPLAINED = "complained", _("Complained about")
        UNCERTAIN = "uncertain", _("Uncertain")
        CONFIDENT = "confident", _("Sure, but complained about")
        DISAGREEING = "disagreeing", _("Answered otherwise by the shadow version")
        CANDIDATE = "candidate", _("Answered otherwise by a candidate that is asked")
        RARE = "rare", _("Rare by their answer")
        OUTSIDE = "outside", _("Out of range")
        RANDOM = "random", _("Random control")
        STRATIFIED = "stratified", _("Random control, so many of each site")
        UPLOADED = "uploaded", _("Uploaded")

    class Measure(models.TextChoices):
        CONFIDENCE = "confidence", _("how sure of its answer")
        MARGIN = "margin", _("how far ahead of the next best answer")
        ENTROPY = "entropy", _("how far from even odds (entropy)")

    class Event(models.TextChoices):
        COMPLAINT = "complaint", _("A caller calls an answer wrong")
        RELEASE = "release", _("A version gets more calls, or all")

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rules")
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    measure = models.CharField(
        _("measured by"), max_length=10, choices=Measure.choices, default=Measure.CONFIDENCE
    )
    below = models.FloatField(_("confidence below"), null=True, blank=True)
    quota = models.PositiveIntegerField(_("calls of each site and hour"), null=True, blank=True)
    share = models.FloatField(_("share"), default=1.0)
    every_s = models.PositiveIntegerField(_("seconds between pulls"), default=30)
    event = models.CharField(_("and at once when"), max_length=9, choices=Event.choices, blank=True)
    woken_at = models.DateTimeField(null=True, help_text="Its event came then.")
    active = models.BooleanField(default=True)
    pulled_at = models.DateTimeField(null=True)
    heard_at = models.DateTimeField(
        null=True,
        help_text="Late calls that were noted before this have been looked at (candidates); null: pulled_at.",
    )
    heard_to = models.DateTimeField(
        null=True,
        help_text="It stopped in the minute noted at heard_at: calls of before this have been looked at.",
    )
    tried_at = models.DateTimeField(null=True, help_text="Its turn came then, whether or not it got further.")
    error = models.TextField(
        blank=True, help_text="What it could not read, one call a line; or why it broke."
    )
    told = models.JSONField(default=dict, editable=False, help_text="What its errors are made of.")
    held_until = models.DateTimeField(null=True, help_text="It broke, and is tried again then.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        verbose_name = _("pull rule")
        verbose_name_plural = _("pull rules")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(share__gt=0, share__lte=1), name="pull_share_is_probability"
            )
        ]

    @property
    def problems(self) -> str:
        """What went wrong in its last pull, in the reader's language."""
        return "\n".join(sentence(line, self.told) for line in self.error.splitlines())


class Task(models.Model):
    """One call to look at. `probability` is the one with which it was selected, for unbiased estimates."""

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        CONFLICT = "conflict", _("Disagreement")
        AGREED = "agreed", _("Agreed")
        ACCEPTED = "accepted", _("Accepted")
        REJECTED = "rejected", _("Left out")

    lifecycle = Lifecycle(
        open={"agreed", "conflict", "rejected"},
        agreed={"accepted", "conflict", "rejected", "open"},
        conflict={"accepted", "agreed", "rejected", "open"},
        accepted={"accepted", "rejected"},
        rejected={"accepted"},
    )

    # db_index=False here and in Slot: the index would be the beginning of another one.
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="tasks", db_index=False)
    request_id = models.UUIDField()
    called_at = models.DateTimeField()
    version = models.CharField(max_length=64, blank=True)
    inputs = models.JSONField()
    answer = models.JSONField(default=dict)
    predicted = models.CharField(max_length=200, blank=True)
    confidence = models.FloatField(null=True)
    suggested = models.CharField(max_length=200, blank=True, help_text="What the complaint says is right.")
    proposed = models.JSONField(
        null=True,
        help_text="The model's answer as a value of the label type, to begin from; null: there is none.",
    )
    reason = models.CharField(max_length=200)
    told = models.JSONField(null=True, help_text="What its reason is made of; null: ready-made words.")
    rule_kind = models.CharField(
        max_length=12, choices=PullRule.Kind.choices, default=PullRule.Kind.COMPLAINED
    )
    rule = models.ForeignKey(
        PullRule,
        null=True,
        on_delete=models.SET_NULL,
        related_name="+",
        db_index=False,
        help_text="The one that gave its call; null: uploaded, or of before this was kept.",
    )
    probability = models.FloatField(default=1.0)
    priority = models.SmallIntegerField(default=0)
    fingerprint = models.CharField(max_length=64)
    near_key = models.CharField(max_length=64, blank=True, db_default="")
    audit_of = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="audits")
    weight = models.PositiveIntegerField(default=1, help_text="How many equal calls this task stands for.")
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.OPEN)
    label = models.CharField(max_length=200, blank=True, help_text="What was decided, in words.")
    value = models.JSONField(null=True, help_text="What was decided, as the project's label type has it.")
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    dataset_version = models.ForeignKey(
        "datasets.DatasetVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("task")
        verbose_name_plural = _("tasks")
        constraints = [
            models.UniqueConstraint(fields=["project", "request_id"], name="task_once_per_call"),
            models.UniqueConstraint(fields=["project", "fingerprint"], name="task_once_per_input"),
        ]
        indexes = [
            models.Index(fields=["project", "status", "-id"], name="task_list"),
            models.Index(fields=["project", "-id"], name="task_newest"),
            models.Index(fields=["request_id"], name="task_of_call"),
            models.Index(fields=["project", "near_key"], condition=~models.Q(near_key=""), name="task_near"),
            models.Index(
                fields=["project", "id"], condition=models.Q(audit_of__isnull=False), name="task_audit"
            ),
        ]

    @property
    def why(self) -> str:
        """Why it was taken, in the reader's language."""
        return sentence(self.reason, self.told or {})


class Merged(models.Model):
    """A further call that equals a task's input; it counts once, however often a pull is repeated."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="merged")
    request_id = models.UUIDField()

    class Meta:
        verbose_name = _("merged call")
        verbose_name_plural = _("merged calls")
        constraints = [models.UniqueConstraint(fields=["project", "request_id"], name="call_merged_once")]


class Golden(models.Model):
    """A task whose answer is known, mixed in among the others to see how often each person is right.

    Labels that came after `made_at` are answers to it. It rests once people answer it otherwise (`golden`).
    """

    task = models.OneToOneField(Task, on_delete=models.CASCADE, related_name="golden")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="golden_tasks")
    made_at = models.DateTimeField(auto_now_add=True)
    retired_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")

    class Meta:
        verbose_name = _("golden task")
        verbose_name_plural = _("golden tasks")
        indexes = [
            models.Index(fields=["project"], condition=models.Q(retired_at__isnull=True), name="golden_alive")
        ]

    @property
    def why(self) -> str:
        """Why it rests, in the reader's language."""
        return sentence(self.reason, self.told)


class Decision(models.Model):
    """What a reviewer decided of a task, and when; a later one does not erase those before."""

    class What(models.TextChoices):
        ACCEPTED = "accepted", _("Accepted")
        FIXED = "fixed", _("Fixed")
        LEFT_OUT = "left_out", _("Left out")
        ASKED = "asked", _("One more person asked")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="decisions")
    what = models.CharField(_("decision"), max_length=8, choices=What.choices)
    label = models.CharField(max_length=200, blank=True)
    value = models.JSONField(null=True)
    comment = models.TextField(_("comment"), blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")


class Draw(models.Model):
    """A call that a random control drew, and the task that answers for it; estimates of accuracy rest on these.

    Any call may be drawn, also one that a complaint made a task of before. `slices` are the plain fields that the
    version's parsing rules found, {name: value}, kept here since the log forgets.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="draws")
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="draws")
    request_id = models.UUIDField()
    called_at = models.DateTimeField()
    version = models.CharField(max_length=64, blank=True)
    site = models.CharField(max_length=100, blank=True)
    predicted = models.CharField(max_length=200, blank=True)
    slices = models.JSONField(default=dict)
    probability = models.FloatField()

    class Meta:
        verbose_name = _("draw")
        verbose_name_plural = _("draws")
        constraints = [
            models.UniqueConstraint(fields=["project", "request_id"], name="call_drawn_once"),
            models.CheckConstraint(
                condition=models.Q(probability__gt=0, probability__lte=1), name="draw_has_probability"
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="draw_newest")]


class Tally(models.Model):
    """How many tasks a project has in a status is the sum of these rows; triggers on the tasks write them.

    Rows are only added, so that writers never wait for one another; a background task folds them.
    """

    project_id = models.BigIntegerField()
    status = models.CharField(max_length=8)
    n = models.BigIntegerField()

    class Meta:
        verbose_name = _("tally")
        verbose_name_plural = _("tallies")
        indexes = [models.Index(fields=["project_id", "status"], name="tally_of_project")]


class Slot(models.Model):
    """A place for one person at a task. `token` fences off a person whose lease has run out.

    `ahead`: held for the moment at which the person is done with the task before.
    """

    class Status(models.TextChoices):
        OPEN = "open", _("Open")
        LEASED = "leased", _("Taken")
        DONE = "done", _("Done")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="slots", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    number = models.PositiveSmallIntegerField()
    priority = models.SmallIntegerField(default=0)
    status = models.CharField(max_length=6, choices=Status.choices, default=Status.OPEN)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    leased_until = models.DateTimeField(null=True)
    token = models.PositiveIntegerField(default=0)
    ahead = models.BooleanField(default=False, db_default=False)

    class Meta:
        verbose_name = _("slot")
        verbose_name_plural = _("slots")
        constraints = [
            models.UniqueConstraint(fields=["task", "number"], name="slot_number_once"),
            models.UniqueConstraint(fields=["task", "user"], name="slot_person_once"),
        ]
        indexes = [
            models.Index(
                fields=["project", "-priority", "id"], condition=~models.Q(status="done"), name="slot_free"
            ),
            models.Index(
                fields=["project", "user", "-id"], condition=models.Q(user__isnull=False), name="slot_mine"
            ),
        ]


class Annotation(models.Model):
    """What one person said about one task. `extra` came after the lease had run out and is one more vote."""

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="annotations")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    label = models.CharField(max_length=200, blank=True, help_text="The value in words.")
    value = models.JSONField(null=True)
    skipped = models.BooleanField(default=False)
    flagged = models.BooleanField(default=False, help_text="The annotator asks others to look at it.")
    comment = models.TextField(blank=True)
    seconds = models.FloatField(default=0)
    extra = models.BooleanField(default=False)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("annotation")
        verbose_name_plural = _("annotations")
        constraints = [models.UniqueConstraint(fields=["task", "user"], name="annotation_once")]
        indexes = [models.Index(fields=["task"], condition=models.Q(flagged=True), name="annotation_flagged")]


class Transfer(models.Model):
    """A file that labels or tasks came in with, or went out by. `sha256` is the file; an export's when it is done."""

    class Direction(models.TextChoices):
        IMPORT = "import", _("Import")
        EXPORT = "export", _("Export")

    class Status(models.TextChoices):
        WAITING = "waiting", _("Under way")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(waiting={"done", "failed"}, done=set(), failed=set())

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="transfers")
    direction = models.CharField(max_length=6, choices=Direction.choices)
    format = models.CharField(_("format"), max_length=12)
    keep_good = models.BooleanField(_("keep the good rows when some are broken"), default=False)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    sha256 = models.CharField(max_length=64, blank=True)
    rows = models.PositiveIntegerField(default=0)
    merged = models.PositiveIntegerField(default=0)
    broken = models.JSONField(default=list, help_text="[[row number, why], …], at most a thousand")
    unproposed = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="How many rows came without what was proposed: no value of the label type.",
    )
    reason = models.TextField(blank=True)
    told = models.JSONField(
        default=dict,
        editable=False,
        help_text="What its reason, and what is said of broken rows, is made of.",
    )
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("transfer")
        verbose_name_plural = _("transfers")
        indexes = [models.Index(fields=["id"], condition=models.Q(status="waiting"), name="transfer_waiting")]

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language."""
        return sentence(self.reason, self.told)

    @property
    def broken_rows(self) -> list[tuple[int, str]]:
        """The rows that were left out and why, in the reader's language."""
        return [(number, sentence(words, self.told)) for number, words in self.broken]


class Bulk(models.Model):
    """Many tasks at once (`bulk`): `done` of `total` so far; `asked` narrows an acceptance, `flagged` ones it left."""

    class What(models.TextChoices):
        EXPORT = "export", _("Labels into the data set")
        ACCEPT = "accept", _("Accepting")

    class Status(models.TextChoices):
        WAITING = "waiting", _("Under way")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(waiting={"done", "failed"}, done=set(), failed=set())

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="bulks")
    what = models.CharField(max_length=6, choices=What.choices)
    asked = models.JSONField(default=dict)
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    total = models.PositiveIntegerField()
    done = models.PositiveIntegerField(default=0)
    flagged = models.PositiveIntegerField(default=0)
    version = models.ForeignKey(
        "datasets.DatasetVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("work on many tasks")
        verbose_name_plural = _("work on many tasks")
        constraints = [
            models.UniqueConstraint(
                fields=["project", "what"], condition=models.Q(status="waiting"), name="bulk_one_at_a_time"
            )
        ]
        indexes = [
            models.Index(fields=["id"], condition=models.Q(status="waiting"), name="bulk_waiting"),
            models.Index(fields=["project", "-id"], name="bulk_newest"),
        ]

    @property
    def fraction(self) -> float:
        """How far it is, from 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language."""
        return sentence(self.reason, self.told)


class Retraining(models.Model):
    """The recorded training of a version, run again on another data set version, up to its evaluation report."""

    class Status(models.TextChoices):
        TRAINING = "training", _("Training")
        PACKAGING = "packaging", _("Packaging")
        EVALUATING = "evaluating", _("Evaluating")
        DONE = "done", _("Done")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(
        training={"packaging", "failed"},
        packaging={"evaluating", "done", "failed"},
        evaluating={"done", "failed"},
        done=set(),
        failed=set(),
    )

    capability = models.ForeignKey("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    origin = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    dataset_version = models.ForeignKey("datasets.DatasetVersion", on_delete=models.PROTECT, related_name="+")
    job = models.ForeignKey("compute.Job", on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey("catalog.Version", null=True, on_delete=models.PROTECT, related_name="+")
    run = models.ForeignKey("evaluation.Run", null=True, on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.TRAINING)
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("retraining")
        verbose_name_plural = _("retrainings")
        constraints = [
            models.UniqueConstraint(
                fields=["origin", "dataset_version"],
                condition=~models.Q(status="failed"),
                name="retraining_once",
            )
        ]

    @property
    def why(self) -> str:
        """Why it failed, in the reader's language."""
        return sentence(self.reason, self.told)


class Recheck(models.Model):
    """The input of a call that people labelled, asked again of a version in production (`rechecks`).

    `expected` is the label, in words, that its `answer` was held against. `asked_by` is empty where the portal asked by
    itself.
    """

    class Status(models.TextChoices):
        WAITING = "waiting", _("Under way")
        RIGHT = "right", _("Right")
        WRONG = "wrong", _("Wrong")
        FAILED = "failed", _("Failed")

    lifecycle = Lifecycle(
        waiting={"right", "wrong", "failed"}, right={"waiting"}, wrong={"waiting"}, failed={"waiting"}
    )

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="rechecks")
    request_id = models.UUIDField()
    version = models.ForeignKey("catalog.Version", on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=7, choices=Status.choices, default=Status.WAITING)
    expected = models.CharField(max_length=200)
    expected_value = models.JSONField(
        null=True, help_text="The label as a value; null: `expected` is all of it."
    )
    answer = models.CharField(max_length=200, blank=True)
    answer_id = models.UUIDField(null=True)
    reason = models.TextField(blank=True)
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    asked_at = models.DateTimeField()
    tried_at = models.DateTimeField(null=True, help_text="Its turn came then, with or without an answer.")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name = _("input asked again")
        verbose_name_plural = _("inputs asked again")
        constraints = [
            models.UniqueConstraint(fields=["task", "request_id", "version"], name="asked_again_once")
        ]
        indexes = [models.Index(fields=["id"], condition=models.Q(status="waiting"), name="recheck_waiting")]

    @property
    def outdated(self) -> bool:
        """Whether its task was decided anew since it was asked."""
        value = self.task.value if self.expected_value is not None else self.expected_value
        return (self.expected, self.expected_value) != (self.task.label, value)

    @property
    def why(self) -> str:
        """Why it has no answer, in the reader's language."""
        return sentence(self.reason, self.told)


class RetrainingRule(models.Model):
    """When a capability is trained anew, and whether the result's release is opened (`deciding`).

    `project` measures how right production is and collects the new labels. The rule acts in the name of `written_by`.
    """

    capability = models.OneToOneField("catalog.Capability", on_delete=models.PROTECT, related_name="+")
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    least_quality = models.FloatField(_("least accuracy in production"), default=0.9)
    days = models.PositiveSmallIntegerField(_("over the last days"), default=14)
    least_labels = models.PositiveIntegerField(_("new labels at least"), default=50)
    cool_down_h = models.PositiveSmallIntegerField(_("hours between two retrainings"), default=24)
    opens_release = models.BooleanField(_("open the release of a better version"), default=True)
    active = models.BooleanField(_("active"), default=True)
    tried_at = models.DateTimeField(null=True, help_text="It was about to retrain then.")
    written_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    written_at = models.DateTimeField()

    class Meta:
        verbose_name = _("retraining rule")
        verbose_name_plural = _("retraining rules")
        constraints = [
            models.CheckConstraint(
                condition=models.Q(least_quality__gt=0, least_quality__lt=1), name="least_quality_is_a_share"
            )
        ]

    def __str__(self) -> str:
        return str(self.capability)


class RetrainingDecision(models.Model):
    """What a rule decided, why, and on which figures. That nothing is done is a row only where the outcome changed."""

    class What(models.TextChoices):
        RETRAIN = "retrain", _("Retrained")
        RELEASE = "release", _("Release opened")
        NOTHING = "nothing", _("Nothing done")

    class Code(models.TextChoices):
        POOR = "poor", _("Quality is poor")
        HOLDS = "holds", _("Quality holds")
        UNDECIDED = "undecided", _("Undecided")
        UNKNOWN = "unknown", _("Quality is unknown")
        UNDER_WAY = "under_way", _("Under way")
        COOLING = "cooling", _("Cooling down")
        FEW_LABELS = "few_labels", _("Too few new labels")
        REFUSED = "refused", _("Refused")
        BETTER = "better", _("Better than production")
        NOT_PASSED = "not_passed", _("Gates not passed")
        NOT_BETTER = "not_better", _("Not better than production")
        NOT_OPENED = "not_opened", _("Release refused")

    rule = models.ForeignKey(RetrainingRule, on_delete=models.CASCADE, related_name="decisions")
    what = models.CharField(_("decision"), max_length=8, choices=What.choices)
    code = models.CharField(max_length=12, choices=Code.choices)
    reason = models.TextField()
    told = models.JSONField(default=dict, editable=False, help_text="What its reason is made of.")
    figures = models.JSONField(default=dict)
    retraining = models.ForeignKey(Retraining, null=True, on_delete=models.PROTECT, related_name="+")
    release = models.ForeignKey("releases.Release", null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name = _("retraining decision")
        verbose_name_plural = _("retraining decisions")
        indexes = [models.Index(fields=["rule", "-id"], name="retraining_decisions")]

    @property
    def why(self) -> str:
        """Its reasons, in the reader's language."""
        return sentence(self.reason, self.told)
