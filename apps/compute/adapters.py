"""The engine of this portal, and what the machine's package clients told."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils.translation import gettext as _

from apps.compute import environments
from apps.compute.engines import reading
from apps.compute.engines.local import LocalEngine
from apps.core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from apps.compute.engines.base import Engine


@lru_cache(maxsize=1)
def _local(root: Path, run_dir: Path, sdk: Path) -> LocalEngine:
    return LocalEngine(root, run_dir, sdk)


_override: Engine | None = None


def engine() -> Engine:
    """The engine that runs this portal's workloads."""
    if _override is not None:
        return _override
    return _local(workloads_dir(), sockets_dir(), Path(settings.BASE_DIR) / "sdk")


def use(replacement: Engine | None) -> None:
    """Run workloads on another engine; for tests. `None` goes back to the configured one."""
    global _override
    _override = replacement


def read_fenced(module: str, stream: BinaryIO) -> Iterator[bytes]:
    """What a program of the SDK prints about a file, line by line; it runs in the sandbox on the base environment.

    Raises Unavailable until that is built, reading.CannotRead with the program's last words.
    """
    if not environments.is_ready("base"):
        words = _(
            "The base environment, which reads such files, is still being built. Try again in a minute."
        )
        raise Unavailable(words, retry_after=60)
    sdk = Path(settings.BASE_DIR) / "sdk"
    yield from reading.lines(module, stream, environment=environments.path("base"), sdk=sdk)


def workloads_dir() -> Path:
    """The folders of the local engine's workloads."""
    return Path(settings.ATRIUM.data_dir) / "workloads"


def sockets_dir() -> Path:
    """The folders of the local engine's unix sockets; short, as a socket's path has to be."""
    return Path(settings.ATRIUM.run_dir) / "w"


def _package_clients_file() -> Path:
    return Path(settings.ATRIUM.data_dir) / "package-clients.json"


def keep_package_clients(variables: Mapping[str, str]) -> None:
    """Keep the variables that make pip, uv and npm in a sandbox use this machine's indexes."""
    target = _package_clients_file()
    scratch = target.with_suffix(f".{os.getpid()}")
    scratch.write_text(json.dumps(dict(variables)), encoding="utf-8")
    scratch.replace(target)


def package_clients_asked() -> bool:
    """Whether this machine's clients have been asked once, so that a sandbox can be told what they use."""
    return _package_clients_file().exists()


def package_clients() -> dict[str, str]:
    """What was kept; nothing before the clients have been asked."""
    try:
        found = json.loads(_package_clients_file().read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
