"""A release's dossier: everything that was decided and why, as one archive that is checked without the portal.

`manifest.json` names every file by its SHA-256. `atrium verify FILE` (`python -m atrium verify FILE`) recomputes
these, the digest of the content that was signed, the report's digest, and each entry of the audit log.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import TYPE_CHECKING, Any

import orjson
from django.db import transaction
from django.utils import timezone

from apps.core import audit, objects
from apps.core.models import AuditEntry
from apps.core.urns import urn
from apps.releases.content import content_of
from apps.releases.models import Release
from apps.releases.replays import counted
from apps.releases.selectors import conclusions_of

if TYPE_CHECKING:
    from apps.accounts.models import User

FORMAT = 1
_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
_EPOCH = (1980, 1, 1, 0, 0, 0)


@transaction.atomic
def export_dossier(release: Release, *, by: User) -> bytes:
    """The archive; that it was exported, and its digest, go into the audit log. The caller has checked who may see."""
    files = _files(release)
    listed = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    about = {"format": FORMAT, "release": release.pk, "version": str(release.version), "files": listed}
    files["manifest.json"] = orjson.dumps(about, option=_INDENTED)
    archive = _archive(files)
    audit.record("releases.dossier.exported", release, by=by, sha256=hashlib.sha256(archive).hexdigest())
    return archive


def _files(release: Release) -> dict[str, bytes]:
    with objects.open_object(release.report.digest) as file:
        report = file.read()
    documents: dict[str, Any] = {
        "content.json": content_of(release.report, release.policy),
        "release.json": _release(release),
        "signatures.json": _signatures(release),
        "findings.json": _findings(release),
        "stages.json": _stages(release),
        "replays.json": _replays(release),
        "conclusions.json": _conclusions(release),
        "audit.json": _audit(release),
    }
    return {name: orjson.dumps(told, option=_INDENTED) for name, told in documents.items()} | {
        "report.json": report
    }


def _release(release: Release) -> dict[str, Any]:
    return {
        "capability": release.capability.slug,
        "version": release.version.number,
        "author": release.version.created_by.username,
        "status": release.status,
        "reason": release.reason_words,
        "why": release.why,
        "content_digest": release.content_digest,
        "opened_by": release.opened_by.username,
        "opened_at": release.opened_at,
        "ended_at": release.ended_at,
        "shipped_cases": release.cases,
        "exported_at": timezone.now(),
    }


def _signatures(release: Release) -> list[dict[str, Any]]:
    return [
        {
            "user": signature.user.username,
            "instead_of": signature.instead_of.username if signature.instead_of else None,
            "role": signature.role,
            "content_digest": signature.content_digest,
            "comment": signature.comment,
            "at": signature.at,
        }
        for signature in release.signatures.select_related("user", "instead_of").order_by("pk")
    ]


def _findings(release: Release) -> list[dict[str, Any]]:
    return [
        {
            "text": finding.text,
            "most_percent": finding.most_percent,
            "raised_by": finding.raised_by.username,
            "raised_at": finding.raised_at,
            "closed_by": finding.closed_by.username if finding.closed_by else None,
            "closed_at": finding.closed_at,
            "resolution": finding.resolution,
        }
        for finding in release.findings.select_related("raised_by", "closed_by").order_by("pk")
    ]


def _stages(release: Release) -> list[dict[str, Any]]:
    names = ("weight", "worse_by", "status", "outcome", "evidence", "started_at", "ended_at")
    return [
        {name: getattr(stage, name) for name in names} | {"reason": stage.reason_words}
        for stage in release.stages.all()
    ]


def _replays(release: Release) -> list[dict[str, Any]]:
    """What each subscriber's calls showed, and what the subscriber said."""
    rows = list(release.replays.select_related("subscription__team", "answered_by").order_by("pk"))
    counts = counted(rows)
    return [
        {
            "team": row.subscription.team.slug,
            "status": row.status,
            "calls": counts.get(row.pk, {}),
            "answered_by": row.answered_by.username if row.answered_by else None,
            "answered_at": row.answered_at,
            "comment": row.comment,
            "asked_anew_at": row.asked_anew_at,
            "asked_anew_for": row.asked_anew_for,
        }
        for row in rows
    ]


def _conclusions(release: Release) -> list[dict[str, Any]]:
    """Stages that two people concluded on replayed calls, or asked to."""
    return [
        {
            "stage": row.stage.weight,
            "reason": row.reason,
            "status": row.status,
            "evidence": row.evidence,
            "asked_by": row.asked_by.username,
            "asked_at": row.asked_at,
            "settled_by": row.settled_by.username if row.settled_by else None,
            "settled_at": row.settled_at,
        }
        for row in conclusions_of(release)
    ]


def _audit(release: Release) -> list[dict[str, Any]]:
    """Entries about the release, its version, report, suite, request and the capability's traffic since it began."""
    subjects = [release, release.version, release.report, release.report.run, release.report.run.suite]
    urns = [urn(subject) for subject in subjects]
    if release.request is not None:
        urns.append(urn(release.request))
    about = AuditEntry.objects.filter(urn__in=urns)
    traffic = AuditEntry.objects.filter(
        urn=urn(release.capability), action="instances.weights.set", at__gte=release.opened_at
    )
    entries = (about | traffic).order_by("pk")
    before = _digests_before([entry.position for entry in entries if entry.position])
    return [
        {
            "id": entry.pk,
            "position": entry.position,
            "previous": before.get(entry.position) if entry.position else None,
            "digest": entry.digest or None,
            "at": entry.at.isoformat(),
            "action": entry.action,
            "urn": entry.urn,
            "actor": entry.actor_name,
            "facts": entry.facts,
        }
        for entry in entries
    ]


def _digests_before(positions: list[int]) -> dict[int, str]:
    found = AuditEntry.objects.filter(position__in=[position - 1 for position in positions])
    known = {(position or 0) + 1: digest for position, digest in found.values_list("position", "digest")}
    return {position: known.get(position, "0" * 64) for position in positions}


def _archive(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), files[name], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
