"""The approval engine: open, decide, withdraw, comment, expire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from apps.accounts.models import Team, User
from apps.core import audit
from apps.core.errors import Conflict, Invalid
from apps.core.policy import require
from apps.core.telling import in_each_language, kept
from apps.core.urns import urn
from apps.requests import kinds, satisfiability
from apps.requests.models import Comment, Decision, Request, Step
from apps.requests.notifications import mark_settled, notify
from apps.requests.policy import may_decide, may_see, may_withdraw, words_of
from apps.requests.selectors import away, candidates, forget_badge, stands_for

__all__ = [
    "Need",
    "Rule",
    "comment_on",
    "decide",
    "expire_due",
    "notify",
    "open_request",
    "place_of",
    "who_can_still_decide",
    "why_unsatisfiable",
    "withdraw",
]

if TYPE_CHECKING:
    from collections.abc import Iterable


MOST_CHARACTERS = 200
"""Of a title."""


@dataclass(frozen=True)
class Need:
    """`count` people who hold `role`, in the team of that id or in any team."""

    role: str
    team_id: int | None = None
    count: int = 1


@dataclass(frozen=True)
class Rule:
    """Who has to agree. The author never counts; `four_eyes`: nobody fills two steps. No steps: granted at once.

    With `deputies` who is away can be stood in for.
    """

    steps: Sequence[Need] = ()
    exclude_user_ids: Sequence[int] = field(default_factory=list)
    four_eyes: bool = False
    deputies: bool = True


def _people(step: Step, request: Request, decided: dict[int, set[int]]) -> list[User]:
    """Who may still decide at a step: role holders that nothing forbids."""
    barred = {request.owner_id, *request.excluded_ids, *decided.get(step.position, set())}
    if request.four_eyes:
        barred |= {pk for people in decided.values() for pk in people}
    return [user for user in candidates(step).order_by("username") if user.pk not in barred]


def _openings(request: Request, steps: Iterable[Step]) -> list[tuple[Step, int, list[User]]]:
    """Each unfilled step with how many approvals it lacks and who may give them."""
    steps = list(steps)
    decided = {
        step.position: {d.user_id for d in step.decisions.all()} if step.pk else set() for step in steps
    }
    return [
        (step, step.count - len(decided[step.position]), _people(step, request, decided))
        for step in steps
        if not step.filled
    ]


def who_can_still_decide(request: Request) -> list[User]:
    """The people who may say yes or no now, by name; empty when it is closed or nobody is left."""
    if request.status != Request.Status.OPEN:
        return []
    steps = request.steps.select_related("team").prefetch_related("decisions")
    openings = _openings(request, steps)
    people = {user.pk: user for _step, _lack, users in openings for user in users}
    if request.deputies:
        for row in away().filter(person__in=list(people)):
            if any(stands_for(row.deputy, step, request) for step, _lack, _users in openings):
                people[row.deputy_id] = row.deputy
    return sorted(people.values(), key=lambda user: user.username)


def _why(request: Request, steps: Iterable[Step]) -> str:
    openings = _openings(request, steps)
    sets = [(lack, {user.pk for user in users}) for _step, lack, users in openings]
    lacking = satisfiability.missing(sets, four_eyes=request.four_eyes)
    reasons = [
        _("%(who)s: %(lack)d more needed than there are people who may decide")
        % {"who": words_of(step), "lack": lack}
        for (step, _count, _users), lack in zip(openings, lacking, strict=True)
        if lack
    ]
    return "; ".join(reasons)


def why_unsatisfiable(request: Request) -> str:
    """In words, why an open request can no longer be granted by anybody; empty when it can."""
    if request.status != Request.Status.OPEN:
        return ""
    return _why(request, request.steps.select_related("team").prefetch_related("decisions"))


def why_rule_unsatisfiable(rule: Rule, *, author: User) -> str:
    """In words, why nobody could grant a request of this author under this rule; empty when somebody can.

    For saving a policy: an impossible one is refused before anybody runs into it.
    """
    request = Request(owner=author, four_eyes=rule.four_eyes, excluded_ids=list(rule.exclude_user_ids))
    return _why(request, _steps_of(request, rule))


def _steps_of(request: Request, rule: Rule) -> list[Step]:
    teams = Team.objects.in_bulk([need.team_id for need in rule.steps if need.team_id is not None])
    return [
        Step(
            request=request,
            position=position,
            role=need.role,
            team=teams[need.team_id] if need.team_id is not None else None,
            count=need.count,
        )
        for position, need in enumerate(rule.steps)
    ]


@transaction.atomic
def open_request(
    kind: str,
    subject: models.Model | str,
    title: str,
    *,
    by: User,
    rule: Rule,
    url: str,
    deadline: datetime | None = None,
    body: str = "",
    team: Team | None = None,
) -> Request:
    """Ask for something. Those who can decide are told; with no steps it is granted here and now.

    A `title` made by `core.telling.say` is told to each in their own language. `url` is the page of the subject;
    `team` (by default the subject's) sees the ticket. Raises Invalid that names the step when nobody could legally
    decide.
    """
    if not kinds.known(kind):
        raise ValueError(f"no app has registered the request kind {kind!r}")
    title, told = kept(title, most=MOST_CHARACTERS)
    request = Request(
        kind=kind,
        subject_urn=urn(subject),
        title=title,
        told=told,
        searched="\n".join(in_each_language(told[title])) if told else "",
        body=body,
        url=url,
        owner=by,
        team=team or getattr(subject, "team", None),
        four_eyes=rule.four_eyes,
        deputies=rule.deputies,
        excluded_ids=list(rule.exclude_user_ids),
        deadline=deadline,
    )
    steps = _steps_of(request, rule)
    why = _why(request, steps)
    if why:
        raise Invalid(
            _("Nobody could grant this: %(why)s. Add a person with this role to the team first.")
            % {"why": why}
        )
    request.save()
    Step.objects.bulk_create(steps)
    audit.record(
        "requests.request.opened", request, by=by, kind=kind, subject=request.subject_urn, title=title
    )
    if not steps:
        _close(request, Request.Status.GRANTED, by=None)
        return request
    notify(
        who_can_still_decide(request),
        lambda: _("Please decide: %(title)s") % {"title": request.title_words},
        url=page_of(request),
        body=body,
        request=request,
    )
    return request


def page_of(request: Request) -> str:
    """The address of a request's page."""
    return reverse("requests:detail", args=[request.pk])


@transaction.atomic
def decide(request: Request, approve: bool, comment: str = "", *, by: User) -> Request:
    """Say yes or no, once; the last yes grants and one no rejects, with what the kind does then, all or nothing.

    Raises NotAllowed with the reason, Invalid for a no without a comment, and Conflict when it was closed
    meanwhile.
    """
    request = _locked(request)
    _still_open(request)
    require(may_decide(by, request))
    kinds.get(request.kind).before_decision(request, by, approve)
    comment = comment.strip()
    if not approve and not comment:
        raise Invalid(
            _("Say why you reject it, so that the person who asked knows what to change."),
            fields={"comment": _("is empty")},
        )
    step, person = place_of(by, request)
    instead_of = None if person.pk == by.pk else person
    Decision.objects.create(step=step, user=by, instead_of=instead_of, approve=approve, comment=comment)
    transaction.on_commit(lambda: forget_badge(by))
    mark_settled(request, [by, person])
    facts = {"instead_of": person.username} if instead_of else {}
    audit.record(
        "requests.request.decided",
        request,
        by=by,
        approve=approve,
        step=step.position,
        comment=comment,
        **facts,
    )
    if instead_of:
        notify(
            [person],
            lambda: (
                _("%(who)s decided in your place: %(title)s")
                % {"who": by.called, "title": request.title_words}
            ),
            url=page_of(request),
        )
    if not approve:
        _close(request, Request.Status.REJECTED, by=by, comment=comment)
        return request
    if Decision.objects.filter(step=step).count() >= step.count:
        Step.objects.filter(pk=step.pk).update(filled=True)
    if not request.steps.filter(filled=False).exists():
        _close(request, Request.Status.GRANTED, by=by, comment=comment)
    return request


def _locked(request: Request) -> Request:
    return Request.objects.select_for_update(of=("self",)).select_related("owner", "team").get(pk=request.pk)


def _still_open(request: Request) -> None:
    if request.status != Request.Status.OPEN:
        raise Conflict(
            _("“%(title)s” was %(status)s meanwhile. Nothing was changed.")
            % {"title": request.title_words, "status": request.get_status_display().lower()}
        )
    if request.deadline and request.deadline <= timezone.now():
        raise Conflict(
            _("The deadline of “%(title)s” has passed. It has to be asked for again.")
            % {"title": request.title_words}
        )


def place_of(user: User, request: Request) -> tuple[Step, User]:
    """The first unfilled step that this person may fill, and in whose place; in their own if possible."""
    steps = request.steps.filter(filled=False).prefetch_related("decisions")
    found = [(step, person) for step in steps if (person := stands_for(user, step, request))]
    for step, person in sorted(found, key=lambda place: place[1].pk != user.pk):
        return step, person
    raise Conflict(_("There is no step left that you could decide."))


def _close(request: Request, status: str, *, by: User | None, comment: str = "") -> None:
    """Move to a final state, run the kind's callback, tell the owner."""
    Request.lifecycle.move(request, status, by=by, closed_at=timezone.now())
    kind = kinds.get(request.kind)
    callback = {"granted": kind.on_granted, "rejected": kind.on_rejected}.get(status, kind.on_closed)
    callback(request, by)
    mark_settled(request)
    if by is None or by.pk != request.owner_id:
        notify(
            [request.owner],
            lambda: _outcome(status) % {"title": request.title_words},
            url=page_of(request),
            body=comment,
        )


def _outcome(status: str) -> str:
    return {
        "granted": _("Granted: %(title)s"),
        "rejected": _("Rejected: %(title)s"),
        "expired": _("Expired without a decision: %(title)s"),
        "withdrawn": _("Withdrawn: %(title)s"),
    }[status]


@transaction.atomic
def withdraw(request: Request, *, by: User) -> Request:
    """Take a request back before it is decided."""
    request = _locked(request)
    _still_open(request)
    require(may_withdraw(by, request))
    _close(request, Request.Status.WITHDRAWN, by=by)
    return request


@transaction.atomic
def comment_on(request: Request, text: str, *, by: User) -> Comment:
    """Say something about a request; the owner and everybody who took part are told."""
    require(may_see(by, request))
    if not text.strip():
        raise Invalid(_("The comment is empty."), fields={"text": _("is empty")})
    comment = Comment.objects.create(request=request, user=by, text=text.strip()[:10_000])
    part = set(request.comments.values_list("user", flat=True)) | {request.owner_id}
    part |= set(Decision.objects.filter(step__request=request).values_list("user", flat=True))
    notify(
        User.objects.filter(pk__in=part - {by.pk}),
        lambda: _("%(name)s commented on: %(title)s") % {"name": by.called, "title": request.title_words},
        url=page_of(request),
        body=comment.text,
    )
    return comment


def expire_due() -> int:
    """Close the open requests whose deadline has passed. Returns how many."""
    due = Request.objects.filter(status=Request.Status.OPEN, deadline__lte=timezone.now())
    return sum(_expire(pk) for pk in due.values_list("pk", flat=True)[:200])


@transaction.atomic
def _expire(pk: int) -> bool:
    request = (
        Request.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("owner")
        .filter(pk=pk, status=Request.Status.OPEN)
        .first()
    )
    if request is None:
        return False
    _close(request, Request.Status.EXPIRED, by=None)
    return True
