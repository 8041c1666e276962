"""The environment of a version: the base where that has its packages, else one of its own that uv locks in a job."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from django.db import transaction
from django.utils.translation import gettext as _
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from apps.catalog import requirements
from apps.catalog.models import EnvironmentLock, Version
from apps.compute import environments
from apps.compute.services import Lock, have_lock, submit_lock
from apps.core import background, objects
from atrium.graph import FILE as GRAPH
from atrium.graph import MEMBERS
from atrium.package import MANIFEST

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.compute.models import Job
    from apps.core.manifests import Manifest

JOB_KIND = "environment"
BASE = "base"
_LARGEST_TEXT = 1 << 20


def requirements_of(manifest: Manifest) -> list[Requirement]:
    """What an upload says it needs: requirements.txt or conda.yaml beside the model; of a composite, what its
    members need together. Raises Invalid.
    """
    own = {path: entry for path, entry in manifest.items() if GRAPH not in manifest or not _in_member(path)}
    found = [*_named(own), *(_of_members(manifest) if GRAPH in manifest else ())]
    return list(dict.fromkeys(found))


def _named(manifest: Manifest) -> list[Requirement]:
    for name, read in (("requirements.txt", requirements.read), ("conda.yaml", requirements.read_conda)):
        found = sorted((path for path in manifest if PurePosixPath(path).name == name), key=len)
        if found:
            return read(_text(manifest, found[0]))
    return []


def _in_member(path: str) -> bool:
    return path.startswith(f"{MEMBERS}/")


def _text(manifest: Manifest, path: str) -> str:
    if path not in manifest:
        return ""
    with objects.open_object(manifest[path]["sha256"]) as stream:
        return stream.read(_LARGEST_TEXT).decode(errors="replace")


def _below(manifest: Manifest, folder: str) -> Manifest:
    return {path.removeprefix(folder): entry for path, entry in manifest.items() if path.startswith(folder)}


def _of_members(manifest: Manifest) -> list[Requirement]:
    """What the members' packages need in the one process that they share: nothing where the base serves each."""
    packages = _packages(manifest)
    if all(facts.get("environment", BASE) == BASE for facts, _package in packages):
        return []
    return [needed for facts, package in packages for needed in _pinned(facts, package)]


def _packages(manifest: Manifest) -> list[tuple[dict[str, str], Manifest]]:
    """(package.json, files) of each member that is not served as ONNX: that one is content with any environment."""
    names = sorted({path.split("/")[1] for path in manifest if _in_member(path)})
    packages = [_below(manifest, f"{MEMBERS}/{name}/") for name in names]
    told = [(json.loads(_text(package, MANIFEST) or "{}"), package) for package in packages]
    return [(facts, package) for facts, package in told if facts.get("runtime") != "onnx"]


def _pinned(facts: dict[str, str], package: Manifest) -> list[Requirement]:
    """A member's packages, each in the version with which it passed its cases."""
    model = _below(package, "model/")
    if GRAPH in model:
        return [needed for inner in _packages(model) for needed in _pinned(*inner)]
    pins = requirements.pins_of(_text(package, "environment.lock"))
    named = requirements.leaner(_named(model))
    names = [canonicalize_name(needed.name) for needed in named]
    framework = requirements.OF_FRAMEWORK.get(facts.get("framework", ""))
    if framework in pins and framework not in names:
        named.append(Requirement(framework))
    return [requirements.pinned(needed, pins) for needed in named]


def missing_in_base(version: Version) -> list[tuple[str, str | None]]:
    """(package, version that the base has or None) of what a version needs and the base does not have so."""
    asked = version.parameters.get("packaging")
    if isinstance(asked, dict) and asked.get("environment") == BASE:
        return []
    needed = requirements_of(version.source_manifest)
    return requirements.missing_in(requirements.pins_of(environments.lock_text(BASE)), needed)


def known_environment(version: Version) -> str | None:
    """The environment that was locked before for the same packages, None when there is none yet."""
    lines = requirements.to_lock(requirements_of(version.source_manifest))
    kept = EnvironmentLock.objects.filter(requirements_digest=requirements.digest(lines)).first()
    return kept_environment(kept) if kept else None


def kept_environment(kept: EnvironmentLock) -> str:
    """The name of a lock's environment, with the lock where environments are built from."""
    return have_lock(kept.environment, kept.lock_sha256)


def environment_to_serve(version: Version) -> str:
    """The environment that runners of a version need: ONNX runs in the base."""
    if version.runtime == "onnx" or version.environment == BASE:
        return BASE
    kept = EnvironmentLock.objects.filter(environment=version.environment).first()
    return kept_environment(kept) if kept else version.environment


def lock_packages(version: Version, *, by: User) -> Job:
    """Let a job resolve and lock a version's packages."""
    title = _("Lock the packages of %(name)s %(number)s") % {
        "name": version.capability.name,
        "number": version.number,
    }
    wanted = "".join(f"{line}\n" for line in requirements.to_lock(requirements_of(version.source_manifest)))
    return submit_lock(JOB_KIND, title, wanted, by=by, team=version.capability.team, subject=version)


def keep_lock_of(lock: Lock, version: Version) -> str:
    """Remember a lock for the same packages of other versions; returns the environment's name."""
    lines = requirements.to_lock(requirements_of(version.source_manifest))
    EnvironmentLock.objects.get_or_create(
        requirements_digest=requirements.digest(lines),
        defaults={
            "environment": lock.environment,
            "lock_sha256": lock.sha256,
            "packages": lock.packages,
        },
    )
    return lock.environment


def build_soon(name: str) -> None:
    """Let the worker build an environment after the commit; a queued job waits for it with that reason."""
    if name != BASE and not environments.is_ready(name):
        transaction.on_commit(lambda: background.enqueue("compute.build_environment", name))
