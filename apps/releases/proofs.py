"""What releases prove of the ML Test Score: review, canary, rollback, a single answer that can be followed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.evaluation.testscore import Proof
from apps.releases.models import Release, Rerun, Stage
from apps.releases.signing import is_signed

if TYPE_CHECKING:
    from apps.catalog.models import Version

BACK = "releases.release.back"


def of_version(version: Version) -> Iterator[tuple[str, Proof]]:
    """(item, proof) for the evaluation's score."""
    release = Release.objects.filter(version=version).order_by("-pk").first()
    if release is not None and is_signed(version):
        last = release.signatures.order_by("-at").first()
        words = _("Signed over data, code and environment by %(n)d people.") % {
            "n": release.signatures.count()
        }
        yield (
            "model.reviewed",
            Proof(words, last.at if last else release.opened_at, f"/releases/{release.pk}/"),
        )
    passed = (
        Stage.objects.filter(
            release__version=version, status=Stage.Status.PASSED, weight__gt=0, ended_at__isnull=False
        )
        .order_by("-ended_at")
        .first()
    )
    if passed is not None and passed.ended_at:
        words = _("It passed the stage of %(weight)d %% on %(calls)d calls.") % {
            "weight": passed.weight,
            "calls": passed.evidence.get("candidate", {}).get("calls", 0),
        }
        yield "infra.canary", Proof(words, passed.ended_at, f"/releases/{passed.release_id}/")
    yield from _rolled_back(version)
    again = (
        Rerun.objects.filter(version=version, answered_by=None, outcome="same").order_by("-ended_at").first()
    )
    if again is not None and again.ended_at:
        words = _("A logged call was run again and gave the same answer.")
        yield "infra.debuggable", Proof(words, again.ended_at, f"/releases/reruns/{again.pk}/")


def _rolled_back(version: Version) -> Iterator[tuple[str, Proof]]:
    """A rollback that really happened, of any version of the capability."""
    releases = Release.objects.filter(
        capability=version.capability, status=Release.Status.ROLLED_BACK, baseline__isnull=False
    ).order_by("-pk")[:20]
    entry = (
        AuditEntry.objects.filter(action=BACK, urn__in=[urn(release) for release in releases])
        .order_by("-pk")
        .first()
    )
    if entry is not None:
        pk = entry.urn.rpartition(":")[2]
        yield (
            "infra.rollback",
            Proof(_("A version of this capability was rolled back."), entry.at, f"/releases/{pk}/"),
        )
