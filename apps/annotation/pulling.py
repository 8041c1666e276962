"""From logged calls to tasks, by the rules of a project and the parsing rules of the capability's version.

`candidates` says which calls; here they are read, equal and almost equal ones become one task with a weight, and
what a random control drew is written down as a draw of its own, also where the call is a task already.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import DurationField, ExpressionWrapper, F, Q, Value
from django.utils import timezone

from apps.annotation.candidates import (
    A_MOMENT,
    CONTROLS,
    OF_COMPLAINTS,
    OVERLAPPING,
    Candidate,
    late_minutes,
    pages,
    settled,
    whole_hour,
)
from apps.annotation.comparing import candidate_of, said_by, shares
from apps.annotation.label_types import type_named
from apps.annotation.models import Draw, Merged, Project, PullRule, Slot, Task
from apps.annotation.nearness import near_key
from apps.annotation.queue import put_in_order
from apps.annotation.reading import Read, Reader, Unreadable, certainty, out_of_range
from apps.annotation.selectors import setting_of
from apps.core import events, turns
from apps.core.errors import Unavailable
from apps.core.telling import kept
from apps.core.telling import say as _
from apps.gateway.late import MOST_SPANS
from apps.gateway.models import Call, Outcome
from apps.gateway.selectors import calls, outcomes_of
from apps.releases.models import Release
from apps.requests.services import notify

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from django.db.models import QuerySet

log = logging.getLogger(__name__)
_BUDGET_S = 20.0
_NEAR = timedelta(minutes=1)
_ATTEMPTS = 3
_MOST_RULES = 200
_MOST_LINES = 20
_HELD = timedelta(minutes=5)
_AUDITED = 0.05
_LONGEST_SLICE = 60
_PRIORITY = {
    PullRule.Kind.CONFIDENT: 25,
    PullRule.Kind.COMPLAINED: 20,
    PullRule.Kind.DISAGREEING: 15,
    PullRule.Kind.CANDIDATE: 15,
    PullRule.Kind.RARE: 10,
    PullRule.Kind.OUTSIDE: 10,
    PullRule.Kind.UNCERTAIN: 10,
    PullRule.Kind.RANDOM: 0,
    PullRule.Kind.STRATIFIED: 0,
}
SHOWN = 10
RARE_BELOW = 0.05


@dataclass(frozen=True)
class Pulled:
    """What one pull did: new tasks, calls that equal a task already there, and calls that could not be read."""

    tasks: int
    merged: int
    unread: int


@dataclass(frozen=True)
class Taken:
    """A call that becomes a task, or counts for one: what people see of it, and why it was taken."""

    candidate: Candidate
    read: Read
    reason: str
    suggested: str = ""

    @property
    def call(self) -> Call:
        """The logged call."""
        return self.candidate.call

    @property
    def fingerprint(self) -> str:
        """Equal inputs have the same."""
        return hashlib.sha256(orjson.dumps(self.read.inputs, option=orjson.OPT_SORT_KEYS)).hexdigest()


def pull_due() -> None:
    """Pull for the active rules whose time has come; one that breaks, or gets no further, stops no other.

    Whose turn was longest ago comes first; what is too much for one round waits for the next.
    """
    now = timezone.now()
    rules = PullRule.objects.filter(active=True, project__status=Project.Status.OPEN).exclude(
        held_until__gt=now
    )
    due = rules.filter(_is_due(rules, now)).order_by(F("tried_at").asc(nulls_first=True), "pk")
    for pk in list(due.values_list("pk", flat=True)[:_MOST_RULES]):
        with turns.only_one(turns.PULL, pk) as mine:
            # Another round may be at it, or have just been.
            rule = due.select_related("project__capability", "created_by").filter(pk=pk).first()
            if mine and rule is not None:
                _take_turn(rule)


def _take_turn(rule: PullRule) -> None:
    PullRule.objects.filter(pk=rule.pk).update(tried_at=timezone.now())
    try:
        pull(rule)
    except OperationalError:
        raise  # the database is away: for all of them
    except Exception as error:  # whatever a rule meets is its own affair
        log.exception("pull rule %d broke", rule.pk)
        _hold(rule, error)


def _is_due(rules: QuerySet[PullRule], now: datetime) -> Q:
    """Whether a rule's time has come, or its event since the last pull."""
    rest = ExpressionWrapper(F("every_s") * Value(timedelta(seconds=1)), output_field=DurationField())
    asks = Q(kind=PullRule.Kind.CANDIDATE)  # what it looks at ends a while ago
    due = Q(pulled_at=None) | ~asks & Q(pulled_at__lte=now - rest) | asks & Q(pulled_at__lte=settled() - rest)
    woken = ~asks & Q(woken_at__gt=F("pulled_at")) | asks & Q(woken_at__gt=F("pulled_at") + OVERLAPPING)
    further = ~asks | Q(pulled_at__lt=settled())  # else it would ask nobody anything before the next minute
    due |= Q(event=PullRule.Event.RELEASE) & woken & further
    if rules.filter(event=PullRule.Event.COMPLAINT).exists() and (came := _complained_at()):
        told = ~asks & Q(pulled_at__lt=came) | asks & Q(pulled_at__lt=came - OVERLAPPING)
        due |= Q(event=PullRule.Event.COMPLAINT) & told & further
    return due


def _complained_at() -> datetime | None:
    """When the last complaint arrived. Those of callers come by the thousand and are published as no event."""
    rows = Outcome.objects.filter(kind=Outcome.Kind.FEEDBACK, correct=False).order_by("-arrived_at")
    return rows.values_list("arrived_at", flat=True).first()


def on_release(key: str, _facts: Mapping[str, Any]) -> None:
    """A version gets a larger share of the calls, or all: rules that wait for that are due."""
    rules = PullRule.objects.filter(event=PullRule.Event.RELEASE, active=True)
    versions = Release.objects.filter(pk=key).values("capability")
    rules.filter(project__capability__in=versions).update(woken_at=timezone.now())


def pull(rule: PullRule) -> Pulled:
    """Turn the calls since the last pull that match the rule into tasks. Repeating it makes nothing twice.

    A pull ends after `_BUDGET_S` seconds; the next one goes on where it stopped.
    """
    if rule.kind == PullRule.Kind.CANDIDATE:
        return _ask(rule)
    until: datetime | None = timezone.now()
    if rule.kind == PullRule.Kind.STRATIFIED:
        until = max(whole_hour(), rule.pulled_at or whole_hour())
    ends, reader, done = time.monotonic() + _BUDGET_S, Reader(rule.project), _Counted()
    for page in pages(rule):
        _take(rule, reader, page, done)
        if time.monotonic() > ends and rule.kind != PullRule.Kind.STRATIFIED:
            # Complaints come in the order of their calls, not of their own: those are looked for again.
            until = rule.pulled_at if rule.kind in OF_COMPLAINTS else page[-1].call.at
            break
    _conclude(rule, until, done)
    return Pulled(done.made, done.merged, len(done.failures))


@dataclass
class _Counted:
    """What a pull has done so far."""

    made: int = 0
    merged: int = 0
    looked_at: int = 0
    failures: list[str] = field(default_factory=list)


def _ask(rule: PullRule) -> Pulled:
    """Ask the candidate the calls that came late, then those since the last pull: each once.

    It goes on from where it stopped, in what came late by the notes of it, and never back. Without a candidate it
    stands still until there is one.
    """
    if candidate_of(rule.project.capability) is None:
        return Pulled(0, 0, 0)
    before = max(settled(), rule.pulled_at or settled())
    ends, done, reader = time.monotonic() + _BUDGET_S, _Counted(), Reader(rule.project)
    until = rule.pulled_at
    try:
        if _ask_late(rule, reader, before, ends, done):
            rule.heard_at, rule.heard_to = before, None
            for number, page in enumerate(pages(rule, before=before)):
                if number:
                    until = page[0].call.at  # whatever lies before it has been asked
                    if time.monotonic() > ends:
                        break
                _take(rule, reader, page, done)
            else:
                until = before
    except Unavailable:
        log.info("pull rule %d waits for the gateway, and with it for the candidate", rule.pk)
    _conclude(rule, until, done)
    return Pulled(done.made, done.merged, len(done.failures))


def _ask_late(rule: PullRule, reader: Reader, before: datetime, ends: float, done: _Counted) -> bool:
    """Ask what came late, and note in the rule how far; False when the time was up before all of it was asked.

    One page is asked in any case, so that every pull gets further.
    """
    asked = False
    for noted, minute in late_minutes(rule, before):
        for page in minute:
            if asked:
                rule.heard_at, rule.heard_to = noted, page[0].call.at
                if time.monotonic() > ends:
                    return False
            _take(rule, reader, page, done)
            asked = True
        rule.heard_at, rule.heard_to = noted + A_MOMENT, None
        if time.monotonic() > ends:
            return False
    return True


def _take(rule: PullRule, reader: Reader, page: list[Candidate], done: _Counted) -> None:
    done.looked_at += len(page)
    taken, unread = _read(rule, reader, page)
    new, equal = _keep(rule, taken)
    done.made, done.merged = done.made + new, done.merged + equal
    done.failures += unread


@dataclass(frozen=True)
class Preview:
    """What a rule would take now: how many of how many calls that were looked at, some of them, and why."""

    looked_at: int
    taken: int
    some: list[tuple[Call, str]]
    unread: list[str]


def preview(project: Project, *, kind: str, share: float, **more: Any) -> Preview:
    """Try a rule on the first calls that it would look at, without keeping anything."""
    rule = PullRule(project=project, kind=kind, share=share, **more)
    page = next(pages(rule, drawn=False), [])
    taken, unread = _read(rule, Reader(project), page)
    number = len(taken) if kind == PullRule.Kind.STRATIFIED else round(len(taken) * share)
    return Preview(len(page), number, [(item.call, item.reason) for item in taken[:SHOWN]], unread[:SHOWN])


def _read(rule: PullRule, reader: Reader, page: list[Candidate]) -> tuple[list[Taken], list[str]]:
    """The calls of a page that fit the rule, and what could not be read, in words."""
    taken: list[Taken] = []
    unread: list[str] = []
    beside = _beside(rule, reader, page)
    complaints = outcomes_of([each.call.request_id for each in page]) if rule.kind in OF_COMPLAINTS else {}
    for each in page:
        call = each.call
        try:
            read = reader.read(call)
            reason = _reason(rule, reader, call, read, beside)
        except Unreadable as error:
            unread.append(_("call %(id)s: %(why)s") % {"id": call.request_id, "why": error.why})
            continue
        if reason:
            said = _suggested(complaints.get(call.request_id, []), rule.project)
            taken.append(Taken(each, read, reason, said))
    return taken, unread


@dataclass(frozen=True)
class _Beside:
    """What the calls of a page are held against; only what the rule's kind asks for."""

    shadows: dict[bytes, list[Call]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    candidate: str = ""
    said: dict[UUID, str] = field(default_factory=dict)


def _beside(rule: PullRule, reader: Reader, page: list[Candidate]) -> _Beside:
    if not page:
        return _Beside()
    if rule.kind == PullRule.Kind.DISAGREEING:
        return _Beside(shadows=_shadows(rule, page))
    if rule.kind == PullRule.Kind.RARE:
        return _Beside(shares=shares(reader))
    candidate = candidate_of(rule.project.capability) if rule.kind == PullRule.Kind.CANDIDATE else None
    if candidate is None:
        return _Beside()
    said = said_by(candidate, [each.call for each in page])
    return _Beside(candidate=candidate.version.number, said=said)


def _shadows(rule: PullRule, page: list[Candidate]) -> dict[bytes, list[Call]]:
    """What shadows answered around the time of these calls, by the bytes of the request."""
    found: dict[bytes, list[Call]] = {}
    around = Q()
    for begin, end in _times([each.call.at for each in page]):
        around |= Q(at__range=(begin - _NEAR, end + _NEAR))
    if page:
        rows = calls(capability=rule.project.capability, failed=False, shadow=True).filter(around)
        for row in rows.defer(None).iterator(chunk_size=2000):
            found.setdefault(bytes(row.request or b""), []).append(row)
    return found


def _times(moments: list[datetime]) -> list[tuple[datetime, datetime]]:
    """Moments in their order as spans; late calls may lie days before the next one, with whatever came in between."""
    found: list[tuple[datetime, datetime]] = []
    for moment in moments:
        if found and (moment - found[-1][1] <= 2 * _NEAR or len(found) == MOST_SPANS):
            found[-1] = (found[-1][0], moment)
        else:
            found.append((moment, moment))
    return found


def _reason(rule: PullRule, reader: Reader, call: Call, read: Read, beside: _Beside) -> str:
    """Why a call is taken, in words; empty when it does not fit. Raises Unreadable."""
    if rule.kind == PullRule.Kind.OUTSIDE:
        names = ", ".join(out_of_range(read)[:5])
        return names and _("Outside the range that the version names: %(names)s.") % {"names": names}
    if rule.kind == PullRule.Kind.DISAGREEING:
        # A shadow's call has an id of its own; it is the one of the same bytes at the same time.
        near = [
            each
            for each in beside.shadows.get(bytes(call.request or b""), [])
            if abs(each.at - call.at) <= _NEAR
        ]
        differs = bool(near) and reader.read(near[0]).predicted != read.predicted
        return _("The shadow version answered otherwise.") if differs else ""
    if rule.kind == PullRule.Kind.CANDIDATE:
        said = beside.said.get(call.request_id, read.predicted)
        told = {"version": beside.candidate, "answer": said}
        return _("Version %(version)s answers “%(answer)s” to it.") % told if said != read.predicted else ""
    if rule.kind == PullRule.Kind.RARE:
        return _rare(rule, read, beside.shares)
    if rule.kind == PullRule.Kind.UNCERTAIN:
        return _uncertain(rule, call, read)
    if rule.kind == PullRule.Kind.COMPLAINED:
        return _("A caller said that the answer was wrong.")
    if rule.kind == PullRule.Kind.CONFIDENT:
        return _("A caller said that the answer was wrong, of which the model was %(score).0f %% sure.") % {
            "score": 100 * (call.score or 0)
        }
    if rule.kind == PullRule.Kind.STRATIFIED:
        return _("Drawn at random among the calls of its site and hour, as a control.")
    return _("Drawn at random, as a control.")


def _rare(rule: PullRule, read: Read, found: dict[str, float]) -> str:
    """An answer that no call of those counted got is as rare as can be."""
    share = found.get(read.predicted, 0.0)
    if not found or not read.predicted or share >= (rule.below if rule.below is not None else RARE_BELOW):
        return ""
    told = {"answer": read.predicted, "share": round(100 * share, 2)}
    return _("“%(answer)s” is answered to only %(share)s %% of the calls.") % told


def _uncertain(rule: PullRule, call: Call, read: Read) -> str:
    if rule.measure == PullRule.Measure.CONFIDENCE:
        return _("The model was only %(score).0f %% sure.") % {"score": 100 * (call.score or 0)}
    found = certainty(read, rule.measure)
    if found >= (rule.below if rule.below is not None else 0.6):
        return ""
    if rule.measure == PullRule.Measure.MARGIN:
        return _("The next best answer was only %(score).0f points behind.") % {"score": 100 * found}
    return _("The odds of the answers were close to even: %(score).0f %% certain by entropy.") % {
        "score": 100 * found
    }


def _keep(rule: PullRule, taken: list[Taken]) -> tuple[int, int]:
    """Make the tasks of some calls; inputs that are there already count for those. How many of each."""
    for attempt in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                return _kept(rule, taken)
        except IntegrityError:  # another pull made one of these tasks meanwhile
            if attempt == _ATTEMPTS - 1:
                raise
    return 0, 0


def _kept(rule: PullRule, taken: list[Taken]) -> tuple[int, int]:
    project = rule.project
    equal, near = _known(project, taken)
    new: list[Task] = []
    of: list[tuple[Taken, Task]] = []
    for item in taken:
        fingerprint, key = item.fingerprint, near_key(item.read.inputs) if project.near else ""
        task, like = equal.get(fingerprint), near.get(key) if key else None
        audited = task is None and like is not None and _audited(project, item.call)
        task = task or (None if audited else like)
        if task is None:
            task = equal[fingerprint] = _task(rule, item, fingerprint, "" if audited else key)
            if audited:
                task.audit_of = like
            elif key:
                near[key] = task
            new.append(task)
        of.append((item, task))
    _insert(project, new)
    _merge(project, of)
    if rule.kind in CONTROLS:
        Draw.objects.bulk_create([_draw(project, *pair) for pair in of], ignore_conflicts=True)
    if new:
        key = f"{project.pk}:{new[-1].pk}"
        events.publish("annotation.tasks_added", key, project=project.pk, tasks=len(new), how=str(rule.kind))
    return len(new), len(taken) - len(new)


def _known(project: Project, taken: list[Taken]) -> tuple[dict[str, Task], dict[str, Task]]:
    """Tasks that are there, by fingerprint and by near key."""
    rows = Task.objects.filter(project=project)
    equal = {task.fingerprint: task for task in rows.filter(fingerprint__in=[t.fingerprint for t in taken])}
    if not project.near:
        return equal, {}
    keys = {near_key(item.read.inputs) for item in taken}
    alike = rows.filter(near_key__in=keys, audit_of=None).exclude(near_key="").order_by("-pk")
    return equal, {task.near_key: task for task in alike}


def _audited(project: Project, call: Call) -> bool:
    digest = hashlib.sha256(f"audit:{project.pk}:{call.request_id}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 < _AUDITED


def _task(rule: PullRule, item: Taken, fingerprint: str, key: str) -> Task:
    words, told = kept(item.reason)
    return Task(
        project=rule.project, fingerprint=fingerprint, near_key=key, request_id=item.call.request_id,
        called_at=item.call.at, version=item.call.version, inputs=item.read.inputs, answer=item.read.answer,
        predicted=item.read.predicted, confidence=item.read.confidence, suggested=item.suggested,
        reason=words[:200], told={words[:200]: told[words]} if told else None, rule_kind=rule.kind, rule=rule,
        probability=item.candidate.probability, proposed=_proposed(rule.project, item.read),
        priority=_PRIORITY[PullRule.Kind(rule.kind)],
    )  # fmt: skip


def _proposed(project: Project, read: Read) -> Any:
    setting = setting_of(project, read.inputs)
    return type_named(project.kind).proposed(read.answer, read.signature.get("outputs", []), setting)


def _insert(project: Project, new: list[Task]) -> None:
    Task.objects.bulk_create([task for task in new if task.audit_of is None])
    audits = [task for task in new if task.audit_of is not None]
    for task in audits:
        task.audit_of = task.audit_of  # its original has got its key only now
        task.reason, task.told = kept(
            _("Audit: almost equal to task %(task)d, labelled by itself.") % {"task": task.audit_of_id}
        )
    Task.objects.bulk_create(audits)
    Slot.objects.bulk_create(
        Slot(task=task, project=project, number=number, priority=task.priority)
        for task in new
        for number in range(project.overlap)
    )
    if new and project.order != Project.Order.PRIORITY:
        put_in_order(project, [task.pk for task in new])


def _merge(project: Project, of: Iterable[tuple[Taken, Task]]) -> None:
    """Calls that count for the task of another one; each once, however often a pull is repeated."""
    further = {item.call.request_id: task for item, task in of if task.request_id != item.call.request_id}
    rows = Merged.objects.filter(project=project, request_id__in=further).values_list("request_id", flat=True)
    counted: set[UUID] = set(rows)
    fresh = {pk: task for pk, task in further.items() if pk not in counted}
    Merged.objects.bulk_create(
        Merged(project=project, task=task, request_id=pk) for pk, task in fresh.items()
    )
    for pk, number in Counter(task.pk for task in fresh.values()).items():
        Task.objects.filter(pk=pk).update(weight=F("weight") + number)


def _draw(project: Project, item: Taken, task: Task) -> Draw:
    parsed = item.call.parsed if isinstance(item.call.parsed, dict) else {}
    slices = {
        str(name)[:_LONGEST_SLICE]: value
        for name, value in parsed.items()
        if isinstance(value, bool | str) and len(str(value)) <= _LONGEST_SLICE
    }
    return Draw(
        project=project, task=task, request_id=item.call.request_id, called_at=item.call.at,
        version=item.call.version, site=item.candidate.site, predicted=item.read.predicted, slices=slices,
        probability=item.candidate.probability,
    )  # fmt: skip


def _suggested(outcomes: list[Outcome], project: Project) -> str:
    """What the last complaint says is right, if it is one of the labels."""
    wrong = [each for each in outcomes if each.kind == Outcome.Kind.FEEDBACK and each.correct is False]
    expected: Any = wrong[-1].expected if wrong else None
    if isinstance(expected, dict):
        expected = expected.get("class", expected.get("label"))
    known = {str(label["value"]) for label in project.labels}
    return str(expected) if str(expected) in known else ""


def _conclude(rule: PullRule, until: datetime | None, done: _Counted) -> None:
    """Write down how far a rule has come, and what it could not read; a pull that met no call changes no mind."""
    if done.looked_at:
        failures = done.failures
        if failures and not rule.error:
            notify(
                [rule.created_by],
                _("A pull rule of “%(project)s” could not read some calls") % {"project": rule.project.name},
                url=f"/annotation/{rule.project_id}/",
                body=failures[0],
            )
        rule.error, rule.told = _lines(failures[:_MOST_LINES])
    rule.pulled_at, rule.held_until = until, None
    rule.save(update_fields=["pulled_at", "heard_at", "heard_to", "held_until", "error", "told"])


def _hold(rule: PullRule, error: Exception) -> None:
    """Let a rule that broke rest for a while; its author is told the first time."""
    said = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    words = _("It broke and is tried again every few minutes: %(error)s") % {"error": said}
    if rule.held_until is None:
        notify(
            [rule.created_by],
            _("A pull rule of “%(project)s” broke") % {"project": rule.project.name},
            url=f"/annotation/{rule.project_id}/",
            body=words,
        )
    rule.error, rule.told = _lines([words])
    rule.held_until = timezone.now() + _HELD
    rule.save(update_fields=["held_until", "error", "told"])


def _lines(sentences: list[str]) -> tuple[str, dict[str, Any]]:
    """Sentences as a row keeps them: one a line, and what they are made of."""
    pairs = [kept(words) for words in sentences]
    return "\n".join(words for words, _told in pairs), {
        words: parts for _words, told in pairs for words, parts in told.items()
    }
