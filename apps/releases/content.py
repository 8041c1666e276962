"""What a signature covers: one digest over everything that a release consists of."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apps.evaluation.models import Report
    from apps.releases.models import Policy, Release

STAGE_DAYS = 14


def content_of(report: Report, policy: Policy) -> dict[str, Any]:
    """The parts, each by what identifies it: artifact, environment, code, data, suite, report, policy."""
    version, suite = report.version, report.run.suite
    return {
        "artifact": version.digest,
        "environment": version.manifest.get("environment.lock", {}).get("sha256", ""),
        "code": version.code_digest or version.source_digest,
        "training_data": version.dataset_version_urn,
        "suite": {
            "number": suite.number,
            "gates": suite.gates,
            "target": suite.target,
            "slices": suite.slices,
            **{name: getattr(suite, name) for name in ("task", "groups", "scorer") if getattr(suite, name)},
            "data": suite.data_digest or suite.dataset_version.digest,
        },
        "report": {"digest": report.digest, "verdict": report.verdict, "about": report.run.version_digest},
        "policy": {
            "number": policy.number,
            "signers": policy.signers,
            "four_eyes": policy.four_eyes,
            "stages": policy.stages,
            "promote_by_gate": policy.promote_by_gate,
            **({"shadow_calls": policy.shadow_calls} if policy.shadow_calls else {}),
            **({} if policy.deputies else {"deputies": False}),
            **_replay_of(policy),
            **({"metric": policy.metric} if policy.metric else {}),
            **({"gates": policy.gates} if policy.gates else {}),
            **({} if policy.stage_days == STAGE_DAYS else {"stage_days": policy.stage_days}),
            **({} if policy.capability_id else {"of": "team"}),
        },
    }


def _replay_of(policy: Policy) -> dict[str, Any]:
    if not policy.replay_calls:
        return {}
    told = {name: getattr(policy, name) for name in ("replay_calls", "consent_hours", "pin_days")}
    return told | ({"replays_stand_in": True} if policy.replays_stand_in else {})


def digest_of(content: dict[str, Any]) -> str:
    """SHA-256 in hex over the content as canonical JSON."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def present_digest(release: Release) -> str:
    """The digest of what the release consists of now; another one than was signed voids the signatures."""
    return digest_of(content_of(release.report, release.policy))


def changed_parts(signed: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Names of the parts that differ."""
    return [part for part in now if signed.get(part) != now[part]]
