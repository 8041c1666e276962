"""Read a file that somebody sent with a program of the SDK, in the sandbox, as a stream of lines.

For formats whose readers are native code: what is wrong with a file there hurts a process that has no files, no network
and no identity of the portal's, and whose memory and time are limited. The file is its standard input.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from apps.compute.engines import sandbox
from apps.compute.engines.base import SDK
from apps.compute.engines.local import environment_binds, inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

UID = 199_998
LONGEST_LINE = 64 << 20


class CannotRead(Exception):
    """The program ended with an error; the message is the last line that it said."""


def lines(
    module: str,
    stream: BinaryIO,
    *,
    environment: Path,
    sdk: Path,
    memory_mb: int = 1024,
    timeout_s: int = 900,
) -> Iterator[bytes]:
    """What `python -m <module>` prints, line by line, with `stream` as its input. Raises CannotRead."""
    level = sandbox.probe().name
    with tempfile.TemporaryFile() as said, _as_file(stream) as source:
        process = subprocess.Popen(
            _command(module, level, environment, sdk, memory_mb),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=said,
            cwd="/",
            env=_env(level, sdk),
            start_new_session=True,
        )
        late = threading.Timer(timeout_s, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            with process.stdout as out:
                while line := out.readline(LONGEST_LINE):
                    yield line
            if process.wait():
                said.seek(0)
                raise CannotRead(_last_words(said.read()[-4000:], process.returncode))
        finally:
            late.cancel()
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _as_file(stream: BinaryIO) -> BinaryIO:
    """The same bytes as a file of the system's own, from the start, with a position of its own."""
    try:
        return open(f"/proc/self/fd/{stream.fileno()}", "rb")  # noqa: PTH123 - the caller closes it
    except OSError:
        copy = tempfile.TemporaryFile()  # noqa: SIM115
        shutil.copyfileobj(stream, copy, 1 << 20)
        copy.seek(0)
        return copy


def _command(
    module: str, level: sandbox.LevelName, environment: Path, sdk: Path, memory_mb: int
) -> list[str]:
    fenced = level.startswith("bubblewrap")
    python = f"{inside(environment) if fenced else environment}/bin/python"
    fence = sandbox.Fence(
        argv=["prlimit", f"--data={memory_mb << 20}", "--core=0", "--fsize=0", "--", python, "-m", module],
        binds=[*environment_binds(environment), sandbox.Bind(str(sdk), SDK, readonly=True)],
        cwd="/",
        uid=UID,
        hostname="reader",
        tmp_bytes=1 << 20,
        network=False,
    )
    return sandbox.command(level, fence)


def _env(level: sandbox.LevelName, sdk: Path) -> dict[str, str]:
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": SDK if level.startswith("bubblewrap") else str(sdk),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }


def _last_words(said: bytes, code: int) -> str:
    words = [line.strip() for line in said.decode(errors="replace").splitlines() if line.strip()]
    return words[-1][:300] if words else f"it ended with {code}"
