"""The people of the tests: Ada develops in the radio team, Bo is QA there, Cy is an outsider, Ole operates."""

from __future__ import annotations

import gc
import os

import hypothesis
import pytest
from babel.messages.mofile import write_mo

from apps.accounts.models import Role, Team, User
from apps.catalog.models import Version
from apps.core.policy import Verdict, allow, deny
from apps.instances import guard
from portal import translations
from tests.factories import make_team, make_user

# A change is taken or not by the same examples each time; whoever works on the code gets new ones at each run.
# On a busy machine everything is slow, which says nothing about the code.
hypothesis.settings.register_profile(
    "ci", derandomize=True, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

pytest_plugins = ["tests.servers", "tests.stack", "tests.together"]


def pytest_collection_finish():
    """What is loaded by now stays: looking through all modules and tests for garbage again and again finds none."""
    gc.collect()
    gc.freeze()


def pytest_terminal_summary(terminalreporter):
    """What passed at its second try only says why the first one failed: otherwise nobody would ever mend it."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"first try of {report.nodeid}")
        terminalreporter.write_line("\n".join(report.longreprtext.splitlines()[-40:]))


@pytest.fixture
def radio(db: None) -> Team:
    return make_team("Radio")


@pytest.fixture
def transport(db: None) -> Team:
    return make_team("Transport")


@pytest.fixture
def ada(radio: Team) -> User:
    return make_user("ada", team=radio, role=Role.DEVELOPER)


@pytest.fixture
def bo(radio: Team) -> User:
    return make_user("bo", team=radio, role=Role.QA)


@pytest.fixture
def ole(radio: Team) -> User:
    return make_user("ole", team=radio, role=Role.OPERATOR)


@pytest.fixture
def cy(transport: Team) -> User:
    return make_user("cy", team=transport, role=Role.CONSUMER)


@pytest.fixture
def root(transport: Team) -> User:
    return make_user("root", team=transport, role=Role.ADMIN)


@pytest.fixture
def signed(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Digests that pass the guard, for tests of what comes after it; the set starts empty."""
    digests: set[str] = set()

    def check(version: Version) -> Verdict:
        return allow() if version.digest in digests else deny("nobody has signed these bytes")

    monkeypatch.setattr(guard, "_checks", {"signed": check})
    everything = guard.Order(free=lambda _capability: allow(), gone=lambda _version: allow())
    monkeypatch.setattr(guard, "_orders", {"signed": everything})
    return digests


@pytest.fixture(scope="session")
def _chinese(tmp_path_factory):
    base = tmp_path_factory.mktemp("locale")
    folder = base / "zh_Hans" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "django.mo").open("wb") as compiled:
        write_mo(compiled, translations.read("zh_Hans"))
    return base


@pytest.fixture
def compiled_messages(settings, _chinese):
    """Chinese as a started portal has it: nobody has compiled it in a fresh checkout."""
    settings.LOCALE_PATHS = [_chinese]
