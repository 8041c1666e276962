"""Run a notebook as a job: parameters, progress per cell, the executed notebook kept.

    python -m atrium.notebook <notebook.ipynb> [--output outputs/<name>.ipynb] [--cell-timeout SECONDS]

The job's parameters replace what the cell tagged `parameters` set, or come first. The executed notebook is
written after each cell, so that it is there whatever happens. Exit code 1: a cell failed; 3: the kernel died;
4: a cell hung, which is to say that it gave no output and used no processor for --cell-timeout seconds (0: for ever).
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from atrium import work
from atrium.magics import ARGUMENT

TAG = "injected-parameters"
SILENT_S = 7200.0
"""How long a cell may give no sign of life unless something else is said; some wait for others' work."""


def with_parameters(notebook: Any, params: dict[str, Any]) -> Any:
    """The notebook with a cell that sets the parameters, after the one tagged `parameters`, else at the top."""
    from nbformat.v4 import new_code_cell

    for name in params:
        if not name.isidentifier():
            raise SystemExit(f"the parameter {name!r} is no Python name")
    kept = [cell for cell in notebook.cells if TAG not in cell.metadata.get("tags", [])]
    if params:
        tagged = [n for n, cell in enumerate(kept) if "parameters" in cell.metadata.get("tags", [])]
        source = "\n".join(f"{name} = {value!r}" for name, value in params.items())
        kept.insert(tagged[0] + 1 if tagged else 0, new_code_cell(source, metadata={"tags": [TAG]}))
    notebook.cells = kept
    return notebook


class Run:
    """One execution: tells how far it is, passes the cells' output on, keeps the notebook."""

    def __init__(self, notebook: Any, output: Path) -> None:
        self.notebook, self.output = notebook, output
        self.code = [n for n, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
        self.done = self.number = 0
        self.lines: list[str] = []

    def save(self, **_facts: Any) -> None:
        """Write the notebook as it is now."""
        import nbformat

        self.output.parent.mkdir(parents=True, exist_ok=True)
        part = self.output.with_suffix(".part")
        nbformat.write(self.notebook, part)
        part.replace(self.output)

    def started(self, cell: Any, cell_index: int) -> None:
        """A cell begins."""
        if cell.cell_type == "code":
            self.number, self.lines = self.done + 1, cell.source.strip().splitlines()
            work.progress(self.done / len(self.code), f"cell {self.number} of {len(self.code)}")
            first = self.lines[0] if self.lines else ""
            print(f"[cell {self.number}/{len(self.code)}] {first[:100]}", flush=True)

    def ended(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        """A cell has come to its end, well or not."""
        self.done += 1
        for output in cell.get("outputs", []):
            print(_text_of(output), end="", flush=True)
        self.save()


def _text_of(output: Any) -> str:
    """An output as plain text for the log."""
    kind = output.get("output_type")
    if kind == "stream":
        text = str(output.get("text", ""))
    elif kind == "error":
        text = "\n".join(output.get("traceback", []))
    else:
        text = str(output.get("data", {}).get("text/plain", ""))
    return text if not text or text.endswith("\n") else text + "\n"


def execute(path: Path, output: Path, params: dict[str, Any], silent_s: float = SILENT_S) -> int:
    """Run the notebook; gives the exit code."""
    import nbformat
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    from atrium.watched import Hung, WatchedClient

    notebook = with_parameters(nbformat.read(path, as_version=4), params)
    run = Run(notebook, output)
    if not run.code:
        print(f"{path.name} has no code cell; there is nothing to run", file=sys.stderr)
        return 2
    client = WatchedClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=[ARGUMENT],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=run.started,
        on_cell_executed=run.ended,
    )
    run.save()
    try:
        asyncio.run(client.execute_watched(silent_s))
    except CellExecutionError as error:
        print(f"cell {run.done} of {len(run.code)} failed: {error.ename}: {error.evalue}", file=sys.stderr)
        return 1
    except DeadKernelError:
        print(f"the kernel died in cell {run.done + 1} of {len(run.code)}", file=sys.stderr)
        return 3
    except Hung as error:
        first = run.lines[0] if run.lines else ""
        print(
            f"cell {run.number} of {len(run.code)} hung: {error}, so it was ended. It begins with “{first[:100]}”. "
            "Give cell_timeout_s another value where a cell may be silent for longer.",
            file=sys.stderr,
        )
        return 4
    finally:
        run.save()
    work.progress(1.0, f"{len(run.code)} cells")
    return 0


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m atrium.notebook", description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--cell-timeout", type=float, default=SILENT_S)
    given = parser.parse_args()
    path = given.notebook.resolve()
    output = given.output.resolve() if given.output else work.outputs() / path.name
    return execute(path, output, work.params(), given.cell_timeout)


if __name__ == "__main__":
    raise SystemExit(main())
