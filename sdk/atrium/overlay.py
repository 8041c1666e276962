"""A person's own packages over those of the environment, which is read-only: what `pip install` in a workspace adds.

~/.local becomes a virtual environment that sees the packages of the one below it. pip installs there, a newer
version there hides the one below, and the Jupyter server itself keeps running from below, whatever was installed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

from atrium.magics import ARGUMENT

_PIP = """#!{python}
import sys

from pip._internal.cli.main import main

sys.exit(main())
"""
_SEE_BELOW = "import site; site.addsitedir({below!r})\n"


def lay(over: Path) -> Path:
    """Make `over` see the packages of this interpreter, anew at each start; returns its kernels' folder."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    site = over / "lib" / version / "site-packages"
    kernel = over / "share" / "jupyter" / "kernels" / "python3"
    for folder in (over / "bin", site, kernel):
        folder.mkdir(parents=True, exist_ok=True)
    below = Path(sys.prefix) / "lib" / version / "site-packages"
    python = over / "bin" / "python3"
    _write(
        over / "pyvenv.cfg", f"home = {Path(sys.base_prefix) / 'bin'}\ninclude-system-site-packages = false\n"
    )
    _write(site / "_environment_below.pth", _SEE_BELOW.format(below=str(below)))
    for name in ("python3", "python", version):
        _link(over / "bin" / name, Path(sys.executable).resolve())
    for name in ("pip", "pip3"):
        _write(over / "bin" / name, _PIP.format(python=python), mode=0o755)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}", ARGUMENT]
    spec = {"argv": argv, "display_name": "Python 3", "language": "python", "metadata": {"debugger": True}}
    for logo in (Path(sys.prefix) / "share" / "jupyter" / "kernels" / "python3").glob("logo-*"):
        shutil.copyfile(logo, kernel / logo.name)
    _write(kernel / "kernel.json", json.dumps(spec))
    return kernel.parent


def enter(over: Path) -> None:
    """Let what is started from here on (terminals, kernels) run in `over`."""
    os.environ["PATH"] = f"{over / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    os.environ["VIRTUAL_ENV"] = str(over)


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write a file in one step, as a kill may come at any time and a program may be reading it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text, encoding="utf-8")
    part.chmod(mode)
    part.replace(path)


def _link(path: Path, target: Path) -> None:
    if path.is_symlink() and path.readlink() == target:
        return
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.symlink_to(target)
    part.replace(path)
