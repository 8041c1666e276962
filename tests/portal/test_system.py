"""Programs of the system: who installs what, when, and what is said otherwise; on a path with a fake apt-get."""

from dataclasses import replace
from pathlib import Path

import pytest

from portal.environment import read
from portal.supervisor import system


class Machine:
    """A path with nothing on it, programs that note how they were called, and what was said."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls, self.said = folder, folder / "calls", []

    def has(self, name: str, script: str = "") -> None:
        program = self.folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self.calls}\n{script}\n')
        program.chmod(0o755)

    def apt(self, brings: str = "", *, after_update: bool = False) -> None:
        """An apt-get that makes `brings` appear on the path, if asked for after an update only then; else it fails."""
        updated = self.folder / "updated"
        ready = f"[ -e {updated} ]" if after_update else "true"
        install = f"{ready} && /bin/ln -sf /bin/true {self.folder}/{brings} && exit 0" if brings else ""
        self.has(
            "apt-get",
            f'[ "$1" = update ] && {{ : > {updated}; exit 0; }}\n{install}\necho E: no luck >&2; exit 100',
        )

    @property
    def called(self) -> list[str]:
        return self.calls.read_text().splitlines() if self.calls.exists() else []

    @property
    def told(self) -> str:
        return "\n".join(self.said)


@pytest.fixture
def machine(tmp_path, monkeypatch) -> Machine:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    monkeypatch.setattr("os.getuid", lambda: 0)
    made = Machine(tmp_path)
    made.has("python", "exit 1")  # playwright has no network here
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    return made


@pytest.fixture
def environment(tmp_path_factory):
    return read({"ATRIUM_DATA_DIR": str(tmp_path_factory.mktemp("data"))})


def test_what_is_there_is_left_alone(machine, environment):
    for name in ("bwrap", "chromium", "apt-get"):
        machine.has(name)

    assert system.install_for_tests(environment, machine.said.append)
    assert (machine.called, machine.said) == ([], [])


def test_root_gets_bubblewrap_and_is_told_so(machine, environment):
    machine.apt(brings="bwrap")

    system.install_for_running(environment, machine.said.append)

    assert machine.called == ["apt-get install -y -qq --no-install-recommends bubblewrap"]
    assert machine.told == "installing bubblewrap with apt-get (ATRIUM_SYSTEM_PACKAGES=0 forbids it) …"


def test_lists_that_are_too_old_are_fetched_once(machine, environment):
    machine.apt(brings="bwrap", after_update=True)

    system.install_for_running(environment, machine.said.append)

    assert [call.split()[1] for call in machine.called] == ["install", "update", "install"]
    assert "could not" not in machine.told


def test_a_failed_installation_names_the_reason_and_the_command(machine, environment):
    machine.apt()

    system.install_for_running(environment, machine.said.append)

    assert "E: no luck" in machine.told
    assert "`apt-get install bubblewrap` raises the level" in machine.told


@pytest.mark.parametrize("why", ["forbidden", "not root", "no apt-get"])
def test_without_the_right_or_the_means_nothing_is_run(machine, environment, monkeypatch, why):
    if why != "no apt-get":
        machine.apt(brings="bwrap")
    if why == "not root":
        monkeypatch.setattr("os.getuid", lambda: 1000)
    environment = replace(environment, system_packages=why != "forbidden")

    system.install_for_running(environment, machine.said.append)

    assert machine.called == []
    assert machine.told.startswith("bubblewrap is missing")


def test_the_browser_comes_from_the_system_first(machine, environment):
    machine.has("bwrap")
    machine.apt(brings="chromium")

    assert system.install_for_tests(environment, machine.said.append)
    assert machine.called == ["apt-get install -y -qq --no-install-recommends chromium"]


def test_else_playwright_brings_one(machine, environment):
    machine.has("bwrap")
    chrome = machine.folder / "browsers" / "chromium-1" / "chrome-linux"
    machine.has("python", f"/bin/mkdir -p {chrome} && : > {chrome}/chrome")

    assert system.install_for_tests(environment, machine.said.append)
    assert machine.called == ["python -m playwright install chromium"]
    assert system.browser() == str(chrome / "chrome")


def test_without_any_browser_the_tests_are_not_begun(machine, environment):
    machine.has("bwrap")

    assert not system.install_for_tests(environment, machine.said.append)
    assert "install your system's package `chromium`" in machine.told
