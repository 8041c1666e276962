"""What pip adds in a workspace lies over the environment's own packages and can be taken away again."""

import json
import subprocess

from apps.compute import environments
from apps.workbench import packages


def test_a_package_of_ones_own_hides_the_environments_and_leaves_it_as_it_was(tmp_path):
    environments.build("base", say=lambda words: None)
    below, over = environments.path("base") / "bin" / "python", tmp_path / ".local"
    code = "import sys; from pathlib import Path; from atrium import overlay; print(overlay.lay(Path(sys.argv[1])))"
    for _start in range(2):
        kernels = _said(below, "-c", code, over, env={"PYTHONPATH": "sdk"})
    (version,) = (over / "lib").iterdir()
    mine = version / "site-packages"
    (mine / "jmespath").mkdir()
    (mine / "jmespath" / "__init__.py").write_text("__version__ = 'mine'\n")
    (mine / "jmespath-9.9.dist-info").mkdir()

    asked = "import jmespath, numpy, pip, sys; print(jmespath.__version__, sys.prefix)"
    assert _said(over / "bin" / "python", "-c", asked) == f"mine {over}"
    assert "mine" not in _said(below, "-c", asked)
    assert _said(over / "bin" / "pip", "--version").startswith("pip ")
    argv = json.loads((over / "share/jupyter/kernels/python3/kernel.json").read_text())["argv"]
    assert argv[0] == str(over / "bin" / "python3")
    assert argv[-1] == "--IPKernelApp.extra_extensions=atrium.magics"
    assert (over / "share/jupyter/kernels/python3/logo-svg.svg").exists()
    assert kernels == str(over / "share" / "jupyter" / "kernels")
    assert packages.installed_in(tmp_path) == ["jmespath==9.9"]


def _said(*argv, env=None):
    done = subprocess.run([str(part) for part in argv], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
