"""One really running portal for all tests marked `stack` or `browser`, and a browser to look at it.

The instance has a data folder and ports of its own, so it runs beside a person's portal and beside other test
runs. xdist's workers share it: whoever uses it holds a shared lock, and the last one out ends it.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from portal.environment import ROOT, Environment, read
from portal.supervisor.identity import ProcessIdentity
from portal.supervisor.system import browser as chromium_path

STARTS_WITHIN_S = 180
#: Generous, because a loaded machine runs the tests too: what is promised to people is tested where it is promised.
ENDS_WITHIN_S = 90
TAKES_THE_LOCK_S = 60
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@dataclass(frozen=True)
class Stack:
    """A running instance as its users see it, and as its administrator does."""

    variables: dict[str, str]

    @property
    def environment(self) -> Environment:
        """The instance's settings."""
        return read(self.variables)

    @property
    def web_url(self) -> str:
        """For browsers: a name that Chromium resolves itself."""
        return self.environment.web_url

    @property
    def gateway_url(self) -> str:
        """For callers of models."""
        return self.environment.gateway_url

    def url(self, path: str) -> str:
        """The same page for programs, whose resolver may not know *.localhost."""
        return f"http://127.0.0.1:{self.environment.web_port}{path}"

    def session(self) -> "PortalSession":
        """A person's or a script's HTTP session with the portal, not logged in."""
        return PortalSession(self.url(""))

    def logged_in(self, username: str, password: str = "atrium-sample") -> "PortalSession":
        """A session in which `username` has logged in by the form."""
        session = self.session()
        session.get("/login/")
        answer = session.post("/login/", data={"username": username, "password": password})
        assert session.cookie("atrium_session"), f"{username} cannot log in: {answer.status_code}"
        return session

    def manage(self, *arguments: str, timeout_s: float = 330, check: bool = True) -> str:
        """What `manage.py …` of this instance prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.child_variables(),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, f"manage.py {arguments}: {done.stderr[-3000:]}"
        return done.stdout.strip()

    def api(self, username: str) -> "PortalSession":
        """A session that shows a fresh personal token of `username`."""
        session = self.session()
        token = self.manage("token", username).splitlines()[-1]
        session.headers["Authorization"] = f"Bearer {token}"
        return session

    def child_variables(self) -> dict[str, str]:
        """The variables under which a program belongs to this instance."""
        others = ("DATABASE_URL", "REDIS_URL", "PYTHONDONTWRITEBYTECODE")
        mine = {
            name: value
            for name, value in os.environ.items()
            if name not in others and not name.startswith("ATRIUM_")
        }
        return {
            **mine,
            **self.variables,
            "DJANGO_SETTINGS_MODULE": "portal.settings",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "sdk"))),
        }

    def health(self) -> dict[str, object]:
        """What /healthz says; empty while nobody answers."""
        try:
            return requests.get(self.url("/healthz"), timeout=5).json()
        except (requests.RequestException, ValueError):
            return {}

    def wait_until_up(self, timeout_s: float = STARTS_WITHIN_S) -> float:
        """Seconds until every essential part was up."""
        began = time.monotonic()
        while self.health().get("status") != "up":
            waited = time.monotonic() - began
            assert waited < TAKES_THE_LOCK_S or self.supervised(), f"the supervisor ended:\n{self.output()}"
            assert waited < timeout_s, f"not up after {waited:.0f} s: {self.health()}\n{self.output()}"
            time.sleep(0.1)
        return time.monotonic() - began

    def supervised(self) -> bool:
        """Whether a supervisor holds this instance's folder."""
        with (self.environment.data_dir / "up.lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def process(self, name: str) -> ProcessIdentity | None:
        """The supervised process of that name, by the supervisor's record; `supervisor` is the supervisor."""
        try:
            record = json.loads((self.environment.run_dir / "processes.json").read_text())
        except (OSError, ValueError):
            return None
        entry = record["supervisor"] if name == "supervisor" else record["processes"].get(name, {})
        return ProcessIdentity(entry["pid"], entry["start_time"]) if entry.get("pid") else None

    def processes(self) -> set[int]:
        """Every living process of this instance: ours, strays, servers' children, workloads and their children."""
        folder = str(self.environment.data_dir).encode()
        parents, found = {}, set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                pid = int(entry.name)
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if fields[0] in "ZX" or pid == os.getpid():
                    continue
                parents[pid] = int(fields[1])
                if folder in (entry / "environ").read_bytes() or folder in (entry / "cmdline").read_bytes():
                    found.add(pid)
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def memory_mb(self) -> float:
        """PSS of all processes of this instance: pages that several share count once."""
        total = 0
        for pid in self.processes():
            with suppress(OSError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:"))
        return total / 1024

    def start(self) -> subprocess.Popen[bytes]:
        """Run `make up`'s program on this instance's folder."""
        self.environment.make_directories()
        with (self.environment.log_dir / "supervisor.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "portal.supervisor"],
                cwd=ROOT,
                env=self.child_variables(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def end(self, asked_by: signal.Signals = signal.SIGTERM) -> float:
        """End it; seconds until the supervisor was gone."""
        began = time.monotonic()
        supervisor = self.process("supervisor")
        if supervisor is not None:
            supervisor.end(asked_by, grace_s=ENDS_WITHIN_S)
        return time.monotonic() - began

    def output(self) -> str:
        """The end of what the supervisor and the preparation printed, for failing tests."""
        texts = []
        for name in ("supervisor", "prepare", "web", "live", "worker", "gateway"):
            with suppress(OSError):
                text = (self.environment.log_dir / f"{name}.log").read_text(errors="replace")
                texts.append(f"--- {name}.log\n{text[-1500:]}")
        return "\n".join(texts)


class PortalSession(requests.Session):
    """requests with the instance's address in front and Django's CSRF token in every write."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.trust_env = False

    def cookie(self, name: str) -> str:
        """The value of the portal's cookie of that name, whose end tells the port; empty without one."""
        return next((value for each, value in self.cookies.items() if each.startswith(name)), "")

    def request(self, method, url, **options):
        """As requests', with a path instead of an address, and a time limit."""
        options.setdefault("timeout", 60)
        if method.upper() not in ("GET", "HEAD", "OPTIONS") and "Authorization" not in self.headers:
            headers = dict(options.pop("headers", None) or {})
            headers.setdefault("X-CSRFToken", self.cookie("atrium_csrf"))
            headers.setdefault("Referer", self.base + "/")
            options["headers"] = headers
        return super().request(method, urllib.parse.urljoin(self.base + "/", url), **options)


def new_stack(folder: Path, **variables: str) -> Stack:
    """An instance in `folder` on free ports; not started."""
    ports = free_ports(3)
    return Stack(
        {
            "ATRIUM_DATA_DIR": str(folder),
            "ATRIUM_WEB_PORT": str(ports[0]),
            "ATRIUM_LIVE_PORT": str(ports[1]),
            "ATRIUM_GATEWAY_PORT": str(ports[2]),
            "ATRIUM_GATEWAY_PROCESSES": "1",
            "ATRIUM_SYSTEM_PACKAGES": "0",
            "ATRIUM_MLFLOW": "0",
            "ATRIUM_SPARE_WORKSPACES": "0",
            "ATRIUM_SAMPLE_CAPABILITIES": "digits,breast-cancer,fault-tickets",
            **variables,
        }
    )


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


@pytest.fixture(scope="session")
def stack(request):
    """The shared running instance, with its samples."""
    run = getattr(request.config, "workerinput", {}).get("testrunuid", f"alone-{os.getpid()}")
    base = Path("/tmp") / f"atrium-tests-{os.getuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    _remove_abandoned(base)
    with _shared(base / run[:12]) as shared:
        shared.wait_until_up()
        yield shared


@contextmanager
def _shared(folder: Path):
    """Start the instance unless it runs; the last one out ends it and removes its folder."""
    folder.mkdir(exist_ok=True, mode=0o700)
    record = folder / "stack.json"
    with (folder / "door.lock").open("a") as door, (folder / "users.lock").open("a") as users:
        fcntl.flock(door, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if record.exists():
            stack = Stack(json.loads(record.read_text()))
        else:
            stack = new_stack(folder / "d")
            record.write_text(json.dumps(stack.variables))
            stack.start()
        fcntl.flock(door, fcntl.LOCK_UN)
        yield stack
        fcntl.flock(door, fcntl.LOCK_EX)
        with suppress(BlockingIOError):
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _keep_logs(stack)
            stack.end()
            shutil.rmtree(folder, ignore_errors=True)


def _keep_logs(stack: Stack) -> None:
    """The last run's logs stay under var/test/stack-log for whoever looks into a failure."""
    kept = ROOT / "var" / "test" / "stack-log"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(stack.environment.log_dir, kept, dirs_exist_ok=True)


def _remove_abandoned(base: Path) -> None:
    """End and remove what a killed test run left: a folder whose users' lock nobody holds."""
    for folder in base.iterdir():
        record, users = folder / "stack.json", folder / "users.lock"
        if not users.exists():
            continue
        with users.open("a") as lock, suppress(BlockingIOError, OSError, ValueError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if record.exists() and time.time() - record.stat().st_mtime > 5:
                Stack(json.loads(record.read_text())).end()
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def chromium(stack):
    """One headless Chromium for a file of tests: its loop would be in the way of another file's database."""
    from playwright.sync_api import sync_playwright

    path = chromium_path()
    assert path, "no Chromium on the path; `python -m portal.supervisor.system` installs one"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, headless=True, args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture
def new_page(chromium, stack):
    """Make pages that share nothing with each other, so that two people can act in one test."""
    contexts = []

    def make(username: str = "", **options):
        context = chromium.new_context(base_url=stack.web_url, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        if username:
            log_in(page, username)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def page(new_page):
    """A fresh page in a fresh browser profile, nobody logged in."""
    return new_page()


def log_in(page, username: str, password: str = "atrium-sample") -> None:
    """Log in by the form, as a person does."""
    page.goto("/login/")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/login/" not in url)
