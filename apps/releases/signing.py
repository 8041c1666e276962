"""Opening a release and signing it. Production traffic asks here, and nowhere else, whether a version may take it."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import IntegrityError, transaction
from django.db.models import Count, F, Q
from django.urls import reverse
from django.utils import timezone

from apps.accounts import services as accounts
from apps.core import audit, events, lineage
from apps.core.errors import Conflict, IllegalMove, Invalid, NotAllowed, StaleWrite
from apps.core.policy import Verdict, allow, deny, require
from apps.core.telling import say as _
from apps.evaluation.selectors import deciding_report
from apps.releases import reasons
from apps.releases.content import content_of, digest_of, present_digest
from apps.releases.findings import raise_finding
from apps.releases.models import Bypass, Policy, Release, Signature
from apps.releases.order import STANDING, UNDER_WAY
from apps.releases.policies import demand_of, policy_for, rule_of
from apps.releases.policy import may_open_release, may_sign
from apps.releases.reasons import Code, Reason
from apps.requests import services as requests

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from django.db.models import QuerySet

    from apps.accounts.models import User
    from apps.catalog.models import Version
    from apps.evaluation.models import Report
    from apps.requests.models import Request

log = logging.getLogger(__name__)
KIND = "release"

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
    f"{_SUITE}data_digest",
    f"{_SUITE}dataset_version__digest",
    "report__digest",
    "report__verdict",
    "report__run__version_digest",
)


@transaction.atomic
def open_release(version: Version, *, by: User, report: Report | None = None) -> Release:
    """Ask for a version's release on its newest report by the newest suite. Those who must sign are told.

    Raises NotAllowed with the reason (no report, failed gates of suite or policy, other bytes), Invalid when nobody
    can legally sign, Conflict when the same content was opened already.
    """
    report, policy = report or deciding_report(version), policy_for(version.capability)
    require(may_open_release(by, version, report, [demand_of(policy)]))
    assert report is not None
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
        rule=rule_of(
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
    if not accounts.prove(by, password):
        raise Invalid(_("The password is wrong. Nothing has changed."), fields={"password": _("is wrong")})


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
