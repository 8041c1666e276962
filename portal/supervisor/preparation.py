"""What has to be done before the portal works, and only when something it depends on has changed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from portal.environment import ROOT
from portal.supervisor.variables import child_environment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from portal.environment import Environment

#: Done at each start that offers the portal to the network.
REFUSE_SAMPLES = "refuse-samples"
LOCKS = ROOT / "apps" / "compute" / "environments"
CODE = ("portal", "apps", "sdk")
STATIC = ("static", "package-lock.json", "portal/assets.py", "requirements.lock")


class PreparationFailed(RuntimeError):
    """The portal cannot be prepared; the message ends with what the step said."""


def code_build() -> str:
    """A digest of the code as it lies here: processes that run older code are not adopted."""
    return _digest(_files(ROOT / name for name in (*CODE, "requirements.lock")), suffixes=(".py", ".lock"))


def digest_of(parts: Iterable[object]) -> str:
    """One digest over the words of anything that can be printed, secrets excluded by their repr."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()


def outstanding(environment: Environment) -> list[str]:
    """The steps of `manage.py prepare` that have to be done now."""
    done = {**_read(_record(environment)), **_read(SHARED_RECORD)}
    steps = [step for step, digest in _wanted(environment).items() if done.get(step) != digest]
    return steps if environment.is_local else [*steps, REFUSE_SAMPLES]


def environments_wanted(environment: Environment) -> list[str]:
    """Names of the workloads' environments that this instance uses; without the tracker, not the tracker's."""
    names = sorted(lock.stem for lock in LOCKS.glob("*.lock"))
    return [name for name in names if name != "mlflow" or environment.mlflow]


def environments_outstanding(environment: Environment) -> list[str]:
    """Those that have to be built, which takes its time beside the running portal."""
    built = _read(SHARED_RECORD)
    return [
        name for name in environments_wanted(environment) if built.get(f"environment {name}") != _lock(name)
    ]


def mark_environments_built(environment: Environment) -> None:
    """Remember that the environments of the present locks are there."""
    for name in environments_wanted(environment):
        _remember(SHARED_RECORD, f"environment {name}", _lock(name))


#: Steps whose result lies in the checkout and serves all its instances.
SHARED = ("collectstatic", "compilemessages")
SHARED_RECORD = ROOT / "var" / "shared.json"


def prepare(environment: Environment, steps: list[str]) -> subprocess.Popen[bytes]:
    """Start the one Django process that does the steps; its output goes to `prepare.log`."""
    log = environment.log_dir / "prepare.log"
    with log.open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "manage.py", "prepare", *steps],
            cwd=ROOT,
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def mark_done(environment: Environment, step: str) -> None:
    """Remember a step that was done with what lies here now."""
    if step == REFUSE_SAMPLES:
        return
    path = SHARED_RECORD if step in SHARED else _record(environment)
    _remember(path, step, _wanted(environment)[step])


def _remember(path: Path, step: str, digest: str) -> None:
    done = _read(path)
    done[step] = digest
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(json.dumps(done, indent=2), encoding="utf-8")
    fresh.replace(path)


def _wanted(environment: Environment) -> dict[str, str]:
    """Each step with a digest of all that its result depends on."""
    where = hashlib.sha256(environment.database_url.encode()).hexdigest()
    static = [*(ROOT / name for name in STATIC), *(ROOT / "apps").glob("*/static")]
    steps = {
        "migrate": where
        + _digest(_files([ROOT / "apps", ROOT / "portal"]), containing="/migrations/")
        + code_lock(),
        "collectstatic": _digest(_files(static)),
        "compilemessages": _digest(_files([ROOT / "portal" / "locale"]), suffixes=(".po",)),
    }
    if environment.samples:
        steps["samples"] = where + _digest(
            _files([ROOT / "portal" / "samples"]), suffixes=(".py", ".md", ".json")
        )
    return steps


def _lock(name: str) -> str:
    lock = hashlib.sha256((LOCKS / f"{name}.lock").read_bytes()).hexdigest()
    return f"{lock} {sys.version}"


def code_lock() -> str:
    """A digest of the locked packages, which bring migrations of their own."""
    return hashlib.sha256((ROOT / "requirements.lock").read_bytes()).hexdigest()


def _record(environment: Environment) -> Path:
    return environment.data_dir / "prepared.json"


def _read(path: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        for folder, names, files in os.walk(place):
            names[:] = [name for name in names if name != "__pycache__"]
            for file in files:
                yield place.__class__(folder, file)


def _digest(files: Iterable[Path], *, suffixes: tuple[str, ...] = (), containing: str = "") -> str:
    """Of names, sizes and times: a thousand files in a few milliseconds."""
    lines = []
    for file in files:
        name = str(file.relative_to(ROOT))
        if (suffixes and file.suffix not in suffixes) or containing not in name or file.suffix == ".pyc":
            continue
        status = file.stat()
        lines.append(f"{name} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
