"""What every start imports: it costs seconds at each start and memory for ever."""

import subprocess
import sys

from portal.environment import ROOT

HEAVY = (
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "plotly",
    "matplotlib",
    "mlflow",
    "krippendorff",
    "onnxruntime",
    "PIL",
    "flit_core",
)


def imported_by(code: str) -> set[str]:
    """Top-level packages that a fresh process has after `code`."""
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    return {name.split(".")[0] for name in done.stdout.split()}


def test_a_process_starts_without_the_libraries_of_numbers():
    found = imported_by("from portal.supervisor.forkserver import preload; preload()")

    assert not found & set(HEAVY)


def test_the_supervisor_needs_neither_django_nor_a_servers_client():
    found = imported_by("import portal.supervisor.__main__")

    assert not found & {"django", "psycopg", "redis", "celery", "uvicorn", *HEAVY}
