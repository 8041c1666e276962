"""Programs that no wheel brings: bubblewrap for the sandbox, Chromium for the browser tests.

Installed through the system's package manager when we are root and ATRIUM_SYSTEM_PACKAGES does not forbid it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from portal.environment import load

if TYPE_CHECKING:
    from collections.abc import Callable

    from portal.environment import Environment

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


def install_for_running(environment: Environment, say: Callable[[str], None]) -> None:
    """Bubblewrap, without which user code is fenced less; the portal also starts without it."""
    if shutil.which("bwrap"):
        return
    if not install("bubblewrap", environment, say):
        say(
            "bubblewrap is missing, so workloads are fenced less: `apt-get install bubblewrap` raises the level."
        )


def install_for_tests(environment: Environment, say: Callable[[str], None]) -> bool:
    """What the running needs, and a browser: on the path, else by apt, else by playwright."""
    install_for_running(environment, say)
    if browser():
        return True
    if install("chromium", environment, say) and browser():
        return True
    say("installing Chromium through playwright …")
    done = subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    if done.returncode == 0 and browser():
        return True
    say("No Chromium: the browser tests need one on the path; install your system's package `chromium`.")
    return False


def browser() -> str | None:
    """The Chromium to test with."""
    for name in BROWSERS:
        if found := shutil.which(name):
            return found
    downloads = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache" / "ms-playwright")
    return next((str(path) for path in sorted(downloads.glob("chromium-*/chrome-linux*/chrome"))), None)


def install(package: str, environment: Environment, say: Callable[[str], None]) -> bool:
    """Install one package with apt; False when that is forbidden, impossible or fails."""
    if os.getuid() != 0 or not environment.system_packages or not shutil.which("apt-get"):
        return False
    say(f"installing {package} with apt-get (ATRIUM_SYSTEM_PACKAGES=0 forbids it) …")
    variables = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", package]
    for attempt in (command, ["apt-get", "update", "-qq"], command):
        done = subprocess.run(attempt, env=variables, capture_output=True, text=True, check=False)
        if done.returncode == 0 and attempt is command:
            return True
    say(f"apt-get could not install {package}: {done.stderr.strip().splitlines()[-1:]}")
    return False


def main() -> int:
    """`python -m portal.supervisor.system` installs what the tests need; `make test` calls it."""
    return 0 if install_for_tests(load(), print) else 1


if __name__ == "__main__":
    sys.exit(main())
