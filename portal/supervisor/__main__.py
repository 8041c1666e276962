"""`python -m portal.supervisor` runs one instance in the foreground. `make up` calls it."""

from __future__ import annotations

import sys

from portal.environment import load
from portal.supervisor.postgres import ServerFailed
from portal.supervisor.preparation import PreparationFailed
from portal.supervisor.supervisor import AlreadyRunning, PortTaken, Supervisor
from portal.supervisor.system import install_for_running


def main() -> int:
    """Run until Ctrl-C or SIGTERM; 0 when everything was ended as asked, 1 with one line that says why not."""
    environment = load()
    try:
        supervisor = Supervisor(environment, say=_say)
        install_for_running(environment, _say)
        supervisor.run()
    except (AlreadyRunning, PortTaken, PreparationFailed, ServerFailed, OSError) as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = None  # whoever read us is gone; the logs have everything


if __name__ == "__main__":
    sys.exit(main())
