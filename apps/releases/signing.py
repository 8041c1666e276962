"""Opening a release and signing it. Production traffic asks here, and nowhere else, whether a version may take it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.urls import reverse
from django.utils import timezone

from apps.accounts.models import Site, User
from apps.core import audit, events, lineage
from apps.core.errors import Conflict, IllegalMove, Invalid, NotAllowed, StaleWrite
from apps.core.policy import Verdict, allow, deny, require
from apps.core.telling import say as _
from apps.evaluation.selectors import deciding_report
from apps.releases import business, reasons
from apps.releases.content import content_of, digest_of, present_digest
from apps.releases.findings import raise_finding
from apps.releases.judgement import least_replayed
from apps.releases.models import Bypass, Policy, Release, Signature
from apps.releases.order import STANDING, UNDER_WAY
from apps.releases.policy import may_open_release, may_sign, may_write_policy
from apps.releases.reasons import Code, Reason
from apps.releases.shares import Shares
from apps.requests import services as requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import QuerySet

    from apps.catalog.models import Capability, Version
    from apps.evaluation.models import Report
    from apps.requests.models import Request

log = logging.getLogger(__name__)
KIND = "release"
MOST_REPLAYED = 500
DEFAULT_SIGNERS = [{"role": "qa", "count": 2}]
DEFAULT_STAGES = [
    {"weight": 1, "worse_by": 0.05},
    {"weight": 5, "worse_by": 0.03},
    {"weight": 20, "worse_by": 0.02},
    {"weight": 50, "worse_by": 0.01},
]


#: Whose signature matters for traffic, and who is still asked for one.
CARRYING = (Release.Status.SIGNED, *UNDER_WAY, Release.Status.RELEASED)
VOIDABLE = (Release.Status.SIGNING, *CARRYING)
CHUNK = 500
_OWN_FIELDS = ("status", "content_digest", "version_id", "capability_id", "deployment_id", "baseline_id")
_SUITE = "report__run__suite__"
_CONTENT_FIELDS = (
    *(f"policy__{field.attname}" for field in Policy._meta.concrete_fields),
    *(f"report__version__{name}" for name in ("digest", "manifest", "code_digest", "source_digest")),
    "report__version__dataset_version_urn",
    *(f"{_SUITE}{name}" for name in ("number", "gates", "target", "slices", "task", "groups", "scorer")),
    f"{_SUITE}dataset_version__digest",
    "report__digest",
    "report__verdict",
    "report__run__version_digest",
)


def _rule(
    signers: list[dict[str, Any]],
    team_id: int,
    four_eyes: bool,
    excluded: list[int],
    *,
    deputies: bool = True,
) -> requests.Rule:
    needs = [requests.Need(item["role"], team_id, int(item.get("count", 1))) for item in signers]
    return requests.Rule(steps=needs, exclude_user_ids=excluded, four_eyes=four_eyes, deputies=deputies)


def _problems(signers: Any, stages: Any) -> list[str]:
    problems: list[str] = []
    if not signers or not all(
        isinstance(s, dict) and s.get("role") and int(s.get("count", 1)) >= 1 for s in signers
    ):
        problems.append(_("name at least one role that signs, each with a count of 1 or more"))
    problems += _share_problems(stages)
    if any(not 0 < float(stage.get("worse_by", 0)) <= 0.5 for stage in stages):
        problems.append(_("each stage says which rise of bad answers it must notice: above 0, at most 0.5"))
    if any(float(stage.get("slow_ms") or 1) <= 0 for stage in stages):
        problems.append(_("slow_ms is the time after which an answer is a bad one: above 0"))
    return problems


@dataclass(frozen=True)
class _Asked:
    """A stage as a policy asks for it."""

    weight: int
    site: str


def _share_problems(stages: Any) -> list[str]:
    """Each stage raises the candidate's share somewhere, and names a site that there is."""
    asked = [_Asked(stage.get("weight", 0), str(stage.get("site") or "")) for stage in stages]
    problems: list[str] = []
    sites = {stage.site for stage in asked if stage.site}
    known = set(Site.objects.filter(slug__in=sites, archived_at=None).values_list("slug", flat=True))
    problems += [_("there is no site “%(site)s” in use") % {"site": site} for site in sorted(sites - known)]
    shares = Shares()
    for stage in asked:
        if not 1 <= stage.weight <= 99 or not shares.raised_by(stage):
            problems.append(_("stages must grow from 1 % to at most 99 %; 100 % follows by itself"))
            break
        shares = shares.after(stage)
    if any(stage.get("server_cpu") and stage.get("site") for stage in stages):
        problems.append(
            _("the load of a server is judged at a stage for all sites: it is about all the traffic")
        )
    if any(stage.get("server_cpu") is not None and float(stage["server_cpu"]) <= 0 for stage in stages):
        problems.append(_("server_cpu is how many cores of a server may be busy: above 0"))
    return problems


def _metric_problems(stages: Any, metric: Any) -> list[str]:
    if any(stage.get("metric") for stage in stages) and not metric:
        return [_("a stage asks for the business metric, and there is none")]
    try:
        if metric:
            business.parse(metric)
    except ValueError as error:
        return [str(error)]
    return []


def _stand_in_problems(stages: Any, calls: int) -> list[str]:
    """Whether the calls of one subscriber, replayed, could ever rule out the rise that the last stage asks about."""
    if not stages or not 0 < float(stages[-1].get("worse_by", 0)) <= 0.5:
        return []  # told elsewhere
    if stages[-1].get("metric"):
        return [_("the last stage asks for the business metric, which replayed calls cannot show")]
    least = least_replayed(float(stages[-1]["worse_by"]))
    if calls >= least:
        return []
    return [
        _("replayed calls can stand in from %(least)d on; %(calls)d are replayed")
        % {"least": least, "calls": calls}
    ]


def _replay_problems(stages: Any, calls: int, hours: int, days: int) -> list[str]:
    problems: list[str] = []
    if not stages:
        problems.append(_("subscribers are asked during the last stage, and there is no stage"))
    if not 1 <= calls <= MOST_REPLAYED:
        problems.append(_("at most %(most)d calls of each subscriber are replayed") % {"most": MOST_REPLAYED})
    if not (1 <= hours <= 720 and 1 <= days <= 365):
        problems.append(
            _("subscribers have 1 to 720 hours to object, and keep the old version 1 to 365 days")
        )
    return problems


@transaction.atomic
def create_policy(
    capability: Capability,
    *,
    by: User,
    signers: list[dict[str, Any]],
    stages: list[dict[str, Any]],
    four_eyes: bool = True,
    deputies: bool = True,
    promote_by_gate: bool = False,
    shadow_calls: int = 0,
    deadline_days: int = 14,
    metric: dict[str, Any] | None = None,
    replay_calls: int = 0,
    consent_hours: int = 72,
    pin_days: int = 30,
    replays_stand_in: bool = False,
) -> Policy:
    """Make the capability's next release policy. Raises Invalid when nobody could ever sign under it."""
    require(may_write_policy(by, capability))
    problems = _problems(signers, stages)
    if not 1 <= deadline_days <= 365:
        problems.append(_("there must be 1 to 365 days to sign"))
    problems += _metric_problems(stages, metric)
    if replay_calls:
        problems += _replay_problems(stages, replay_calls, consent_hours, pin_days)
    if replays_stand_in:
        problems += _stand_in_problems(stages, replay_calls)
    if problems:
        raise Invalid("; ".join(problems), fields={"policy": "; ".join(problems)})
    # Somebody outside the signers is taken as the author; opening a release asks again about the real one.
    rule = _rule(signers, capability.team_id, four_eyes, [])
    why = requests.why_rule_unsatisfiable(rule, author=User())
    if why:
        raise Invalid(_("Nobody could sign under this policy: %(why)s.") % {"why": why})
    type(capability).objects.select_for_update().get(pk=capability.pk)
    policy = Policy.objects.create(
        team=capability.team,
        capability=capability,
        number=Policy.objects.filter(capability=capability).count() + 1,
        signers=signers,
        four_eyes=four_eyes,
        deputies=deputies,
        stages=stages,
        promote_by_gate=promote_by_gate,
        shadow_calls=shadow_calls,
        deadline_days=deadline_days,
        metric=metric or None,
        replay_calls=replay_calls,
        consent_hours=consent_hours,
        pin_days=pin_days,
        replays_stand_in=replays_stand_in,
        created_by=by,
    )
    audit.record("releases.policy.created", policy, by=by, number=policy.number)
    return policy


def policy_for(capability: Capability) -> Policy:
    """The capability's newest policy; the platform's default is written down when there is none."""
    found = Policy.objects.filter(capability=capability).order_by("-number").first()
    if found is not None:
        return found
    default, _made = Policy.objects.get_or_create(
        capability=capability,
        number=1,
        team=capability.team,
        defaults={"signers": DEFAULT_SIGNERS, "stages": DEFAULT_STAGES, "four_eyes": True},
    )
    return default


@transaction.atomic
def open_release(version: Version, *, by: User, report: Report | None = None) -> Release:
    """Ask for a version's release on its newest report by the newest suite. Those who must sign are told.

    Raises NotAllowed with the reason (no report, failed gates, other bytes), Invalid when nobody can legally
    sign, Conflict when the same content was opened already.
    """
    report = report or deciding_report(version)
    require(may_open_release(by, version, report))
    assert report is not None
    policy = policy_for(version.capability)
    content = content_of(report, policy)
    try:
        with transaction.atomic():
            release = Release.objects.create(
                version=version,
                capability=version.capability,
                report=report,
                policy=policy,
                content_digest=digest_of(content),
                opened_by=by,
            )
    except IntegrityError as error:
        raise Conflict(_("A release of exactly this content is open or done already.")) from error
    release.request = requests.open_request(
        KIND,
        release,
        _("Sign the release of %(version)s") % {"version": version},
        by=by,
        rule=_rule(
            policy.signers,
            version.capability.team_id,
            policy.four_eyes,
            [version.created_by_id],
            deputies=policy.deputies,
        ),
        url=reverse("releases:detail", args=[release.pk]),
        deadline=timezone.now() + timedelta(days=policy.deadline_days),
        team=version.capability.team,
    )
    release.save(update_fields=["request"])
    audit.record(
        "releases.release.opened", release, by=by, content=content, content_digest=release.content_digest
    )
    lineage.link(report, release, "evidence")
    lineage.link(version, release, "released by")
    return release


@transaction.atomic
def sign_release(
    release: Release,
    *,
    by: User,
    password: str,
    comment: str = "",
    condition: str = "",
    most_percent: int | None = None,
) -> Release:
    """Sign exactly the content that the release was opened with. `password` proves who signs.

    With a `condition` the release gets at most `most_percent` of the traffic until it is closed.
    Raises NotAllowed, Invalid for a wrong password, Conflict when the content is another one by now.
    """
    release = _locked(release)
    require(may_sign(by, release))
    prove(by, password)
    if present_digest(release) != release.content_digest:
        raise Conflict(_("What this release consists of has changed since it was opened. Open a new one."))
    assert release.request is not None
    step, person = requests.place_of(by, release.request)
    instead_of = None if person.pk == by.pk else person
    Signature.objects.create(
        release=release,
        user=by,
        instead_of=instead_of,
        role=step.role,
        content_digest=release.content_digest,
        comment=comment.strip(),
    )
    facts = {"instead_of": person.username} if instead_of else {}
    audit.record("releases.release.signature", release, by=by, content_digest=release.content_digest, **facts)
    if condition.strip():
        raise_finding(release, by=by, text=condition, most_percent=most_percent or 0)
    requests.decide(release.request, True, comment, by=by)
    release.refresh_from_db()
    return release


@transaction.atomic
def reject_release(release: Release, *, by: User, password: str, comment: str, **_condition: Any) -> Release:
    """Refuse to sign; the release ends. The comment tells its author what to change."""
    release = _locked(release)
    require(may_sign(by, release))
    prove(by, password)
    if not comment.strip():
        raise Invalid(_("Say why you reject it."), fields={"comment": _("is empty")})
    assert release.request is not None
    requests.decide(release.request, False, comment, by=by)
    release.refresh_from_db()
    return release


def _locked(release: Release) -> Release:
    return (
        Release.objects.select_for_update(of=("self",)).select_related("request", "policy").get(pk=release.pk)
    )


def prove(by: User, password: str) -> None:
    """Ask again who somebody is, before an act that is theirs alone. Raises Invalid for a wrong password."""
    if not by.check_password(password):
        raise Invalid(_("The password is wrong. Nothing was signed."), fields={"password": _("is wrong")})


def only_on_its_page(request: Request, by: User, approve: bool) -> None:
    """A release is signed on its page, with the report in sight and the password; not from the ticket."""
    if approve:
        signed = Signature.objects.filter(release__request=request, user=by).exists()
        if not signed:
            raise NotAllowed(_("Open the release and sign there: a signature asks for your password."))


def on_granted(request: Request, by: User | None) -> None:
    """The last signature is there."""
    release = Release.objects.get(request=request)
    Release.lifecycle.move(release, Release.Status.SIGNED, by=by)
    events.publish("releases.signed", release.pk)


def on_rejected(request: Request, by: User | None) -> None:
    """A signer refused, or the request was withdrawn or expired."""
    release = Release.objects.get(request=request)
    last = request.steps.first()
    decision = last.decisions.filter(approve=False).last() if last else None
    Release.lifecycle.move(
        release,
        Release.Status.REJECTED,
        by=by,
        ended_at=timezone.now(),
        **reasons.fields(decision.comment if decision else Reason(Code(request.status))),
    )


def may_take_production_traffic(version: Version) -> Verdict:
    """The guard: whether enough people have signed exactly what this version consists of now. Fails closed.

    An emergency bypass in force, which two people agreed to for exactly these bytes, stands in for it until it ends.
    """
    verdict = is_signed(version)
    if not verdict and _bypassed(version):
        return allow()
    return verdict


def _bypassed(version: Version) -> bool:
    in_force = Bypass.objects.filter(
        version=version,
        version_digest=version.digest,
        status=Bypass.Status.ACTIVE,
        expires_at__gt=timezone.now(),
    )
    return in_force.exists()


def is_signed(version: Version) -> Verdict:
    """Whether a release with this version's present content carries all its signatures."""
    why = _("Version %(number)s is not signed. Evaluate it, open a release, and have QA sign it.") % {
        "number": version.number
    }
    for release in _standing_releases([version.pk]):
        if present_digest(release) != release.content_digest:
            why = _("The signature of version %(number)s is void: its content was changed.") % {
                "number": version.number
            }
        elif _carries_all(release):
            return allow()
    return deny(why)


def signed_among(versions: Iterable[int]) -> set[int]:
    """Those of these versions, by their ids, whose signatures hold now, with one query. A bypass is no signature."""
    return {
        release.version_id
        for release in _standing_releases(versions)
        if _carries_all(release) and present_digest(release) == release.content_digest
    }


def _standing_releases(versions: Iterable[int]) -> QuerySet[Release]:
    """The releases of these that were signed and not given up, newest first, with how many signatures each carries."""
    holds = Q(signatures__content_digest=F("content_digest"))
    found = Release.objects.filter(version__in=list(versions), status__in=STANDING)
    found = found.select_related("policy", "report__run__suite__dataset_version", "report__version")
    return found.annotate(carried=Count("signatures", filter=holds)).order_by("-pk")


def _carries_all(release: Any) -> bool:
    return bool(release.carried >= sum(int(item.get("count", 1)) for item in release.policy.signers))


def void_changed(statuses: Iterable[str] = VOIDABLE) -> None:
    """Void, visibly, every release in these states whose content is another one than was opened and signed."""
    for release in _contents_of(statuses):
        if present_digest(release) != release.content_digest:
            try:
                _void(release)
            except (StaleWrite, IllegalMove):
                log.info("release %s was moved by somebody else", release.pk)


def _contents_of(statuses: Iterable[str]) -> Iterator[Release]:
    """All of them, newest first, a chunk at a time by their keys, with no more than what the digest is made of."""
    rows = Release.objects.filter(status__in=list(statuses)).order_by("-pk")
    rows = rows.select_related("policy", "report__run__suite__dataset_version", "report__version")
    rows = rows.only(*_OWN_FIELDS, *_CONTENT_FIELDS)
    chunk = list(rows[:CHUNK])
    while chunk:
        yield from chunk
        chunk = list(rows.filter(pk__lt=chunk[-1].pk)[:CHUNK]) if len(chunk) == CHUNK else []


@transaction.atomic
def _void(release: Release) -> None:
    kept = reasons.fields(Reason(Code.CHANGED))
    Release.lifecycle.move(release, Release.Status.VOIDED, by=None, ended_at=timezone.now(), **kept)
    events.publish("releases.voided", release.pk)
