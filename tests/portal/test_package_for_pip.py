"""The `atrium` package is installed from the portal, by pip, without an account."""

import subprocess
import sys
import zipfile
from io import BytesIO

from apps.core import package


def test_the_portal_serves_the_wheel_that_pip_installs(client, tmp_path):
    line = package.install_line()
    address = line.split()[-1]
    answer = client.get(address[address.index("/package/") :])
    assert answer.status_code == 200

    folder = tmp_path / "site"
    wheel = tmp_path / package.wheel().name
    wheel.write_bytes(answer.content)
    pip = [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--no-deps", "--target"]
    subprocess.run([*pip, str(folder), str(wheel)], check=True)
    told = subprocess.run(
        [sys.executable, "-S", "-m", "atrium", "--help"],
        cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "search" in told.stdout


def test_the_wheel_has_what_workspaces_show_too():
    names = zipfile.ZipFile(BytesIO(package.wheel().content)).namelist()
    assert any(name.startswith("atrium/labextension/") for name in names)
    assert "atrium/py.typed" in names
    assert not [name for name in names if "__pycache__" in name]


def test_another_name_is_not_there(client):
    assert client.get("/package/atrium-9.9.9-py3-none-any.whl").status_code == 404
