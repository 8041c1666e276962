"""What the Lab's page loads for whom; a Jupyter server extension that the portal switches on in each workspace.

Editors share each document with the server, which runs the cells and writes their outputs down, browser or not
(jupyter-collaboration, jupyter-server-nbmodel). Those extensions write as soon as a document is opened, so people
who may only read get the plain Lab, which reads the file.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from atrium import lasting, overlay
from atrium.identity import EDITOR, VIEWER

SHARING = frozenset(
    (
        "@datalayer/jupyter-server-nbmodel",
        "@jupyter/collaboration-extension",
        "@jupyter/docprovider-extension",
        "@jupyterlab/git",
    )
)
IGNORED = """.*\n!.gitignore\n!.gitattributes\n__pycache__/\n*.pyc\nmlruns/\n"""

REPLACED = frozenset(
    ("@jupyterlab/filebrowser-extension:defaultFileBrowser", "@jupyterlab/notebook-extension:cell-executor")
)
"""Parts of the plain Lab that the sharing extensions switch off in favour of their own."""


def page_for(handler: Any, page: dict[str, Any]) -> dict[str, Any]:
    """The page's configuration for the person of this request; see `page_config_hook` of jupyterlab_server."""
    if getattr(handler, "atrium_role", VIEWER) == EDITOR:
        return page
    return {
        **page,
        "federated_extensions": [
            one for one in page.get("federated_extensions", []) if one["name"] not in SHARING
        ],
        "disabledExtensions": [name for name in page.get("disabledExtensions", []) if name not in REPLACED],
    }


def _begin_repository(home: Path) -> None:
    """Give a workspace without one a repository of its own; caches and other hidden files are not in it."""
    if shutil.which("git") is None or (home / ".git").exists():
        return
    if not (home / ".gitignore").exists():
        (home / ".gitignore").write_text(IGNORED, encoding="utf-8")
    subprocess.run(["git", "init", "-q", "-b", "main", str(home)], check=False, capture_output=True)


def _offer_own_packages(server: Any, over: Path) -> None:
    """Kernels and terminals find what `pip install` adds. Without room on the disk they run without it."""
    try:
        kernels = overlay.lay(over)
    except OSError as error:
        server.log.warning("pip cannot add packages here: %s", error)
        return
    overlay.enter(over)
    server.kernel_spec_manager.kernel_dirs.insert(0, str(kernels))


def _load_jupyter_server_extension(server: Any) -> None:
    # Extensions are loaded by name: those that keep their databases there come after this one.
    home = Path(server.root_dir)
    (home / ".jupyter").mkdir(exist_ok=True)
    _begin_repository(home)
    _offer_own_packages(server, home / ".local")
    server.web_app.settings["page_config_hook"] = page_for
    server.web_app.settings["atrium_return"] = lasting.attach(server)


async def _start_jupyter_server_extension(server: Any) -> None:
    await server.web_app.settings["atrium_return"].take_up_cells()
