"""A workspace's Jupyter server that has loaded its code already and waits to learn whose it will be.

`python -m atrium.spare` imports what the server needs, which is nine tenths of its start, and then begins when
the portal has written start.json with the last variables of its environment. A restart finds that file and begins
at once.
"""

import gc
import importlib
import json
import os
import sys
import time
from pathlib import Path

START = Path("/etc/atrium/start.json")
LOOKS_EVERY_S = 0.02
MODULES = (
    "ipykernel.kernelspec",
    "jupyter_client",
    "jupyter_collaboration",
    "jupyter_server.serverapp",
    "jupyter_server.services.contents.largefilemanager",
    "jupyter_server_fileid.extension",
    "jupyter_server_nbmodel.extension",
    "jupyter_server_terminals.app",
    "jupyter_server_ydoc.app",
    "jupyterlab.labapp",
    "jupyterlab_git.handlers",
    "nbconvert.exporters",
    "atrium.jupyter_auth",
    "atrium.jupyter_pages",
    "atrium.lasting",
    "atrium.terminals",
)


def main() -> int:
    """Load, wait, serve."""
    for name in MODULES:
        try:
            importlib.import_module(name)
        except ImportError as error:  # the server says so itself where it matters
            print(f"atrium.spare: {error}", file=sys.stderr)
    gc.collect()
    gc.freeze()
    print("atrium.spare: loaded", flush=True)
    while not START.exists():
        time.sleep(LOOKS_EVERY_S)
    os.environ.update(json.loads(START.read_text(encoding="utf-8")))
    sys.argv = ["jupyter-lab"]
    return int(importlib.import_module("jupyterlab.labapp").LabApp.launch_instance() or 0)


if __name__ == "__main__":
    sys.exit(main())
