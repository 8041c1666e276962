"""`%atrium` and `%release` in notebooks; workspaces and notebook jobs load them (elsewhere `%load_ext atrium.magics`).

`%atrium submit train.ipynb --param depth=4` is the command `atrium submit …`, and so are the others.
"""

import importlib
import os
import shlex
from typing import Any

EXTENSION = "atrium.magics"
ARGUMENT = f"--IPKernelApp.extra_extensions={EXTENSION}"
"""Makes a kernel load them, beside the extensions that its owner has configured."""


def load_ipython_extension(shell: Any) -> None:
    """Register both; IPython calls it for `%load_ext`. What they need is loaded at their first use."""

    def atrium(line: str) -> None:
        """Run an `atrium` command: %atrium submit train.ipynb --param depth=4 --wait."""
        failed = importlib.import_module("IPython.core.error").UsageError  # one line, without a traceback
        try:
            code = importlib.import_module("atrium.cli").main(shlex.split(line))
        except ValueError as error:  # an open quote
            raise failed(f"atrium: {error}") from error
        except SystemExit as error:  # the parser has said what does not fit, or --help was asked for
            code = error.code
        if code:
            raise failed(f"atrium {line} did not succeed")

    def release(line: str) -> None:
        """Say what blocks a release: %release check digits 1.2.0."""
        importlib.import_module("atrium.releasing").tell_blockers(line, shell)

    shell.register_magic_function(atrium, "line", "atrium")
    shell.register_magic_function(release, "line", "release")
    if os.environ.pop("ATRIUM_KERNEL_LASTS", ""):
        unheard = importlib.import_module("atrium.unheard")
        unheard.keep(getattr(shell.kernel, "iopub_thread", None))
        unheard.tell_questions(shell.kernel)
