"""Every process of the portal imports Django and our apps; what they drag along costs memory five times over."""

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
)


def test_a_process_starts_without_the_libraries_of_numbers():
    code = "import sys, django; django.setup(); import portal.urls; print(*sys.modules)"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )

    assert not {name.split(".")[0] for name in done.stdout.split()} & set(HEAVY)
