"""From inside a workload: what of the machine and of others can be reached. Tried for real."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from apps.compute.engines import sandbox
from apps.compute.engines.base import Mount, Resources, Workload
from apps.compute.engines.local import LocalEngine
from apps.compute.engines.shim import HEAD_BYTES, SEGMENT_BYTES
from apps.compute.engines.sockets import real_socket

from .conftest import wait_ended, wait_for

PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3"


@pytest.fixture(params=list(sandbox.LEVELS))
def engine(request, local_engine) -> LocalEngine:
    """The engine at each level that works here; a test runs where the level's table promises what it asks."""
    level, holds = request.param, request.node.get_closest_marker("holds")
    if holds and holds.args[0] not in sandbox.LEVELS[level]:
        pytest.skip(f"{level} does not promise it")
    if level in ("bubblewrap", "own-uid") and os.geteuid() != 0:
        pytest.skip(f"{level} needs root")
    if level != "own-uid" and (reason := sandbox.why_not(level)):
        pytest.skip(f"{level}: {reason}")
    return LocalEngine(local_engine.root, local_engine.run_dir, local_engine.sdk, level=level)


def run(engine, script: str, *, seconds: float = 30.0, **facts) -> tuple:
    engine.start(Workload("w1", [PYTHON, "-c", script], **facts))
    observed = wait_ended(engine, "w1", seconds)
    return observed, engine.log("w1")[0].decode()


@pytest.mark.holds("files")
def test_no_file_of_the_machine_or_of_another_workload_can_be_read(engine, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    engine.start(Workload("other", ["sh", "-c", "echo mine > mine; sleep 60"]))
    wait_for(lambda: engine.read("other", "mine"))
    paths = [secret, engine.root, engine.root / "other/work/mine", "/etc/shadow", "/home"]

    _, said = run(engine, f"import os\nfor p in {[str(p) for p in paths]}: print(os.path.exists(p))")

    assert said.split() == ["False"] * len(paths)


@pytest.mark.holds("processes")
def test_no_process_of_others_can_be_seen_or_signalled(engine):
    _, said = run(
        engine,
        f"import os\nprint(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))\n"
        f"try: os.kill({os.getpid()}, 0)\nexcept OSError as e: print(type(e).__name__)",
    )

    assert "ProcessLookupError" in said
    assert len(said.splitlines()[0].split(",")) <= 3


@pytest.mark.holds("network")
def test_no_network_is_reached_and_loopback_works(engine):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        _, said = run(
            engine,
            "import socket\n"
            f"for a in [('127.0.0.1', {port}), ('192.0.2.1', 80)]:\n"
            "  try: socket.create_connection(a, 2); print('reached', a)\n"
            "  except OSError as e: print('refused')\n"
            "s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname())\n"
            "print('own')",
        )

    assert said.split() == ["refused", "refused", "own"]


@pytest.mark.holds("identity")
def test_identity_has_no_rights(engine):
    _, said = run(
        engine,
        "import os\nfor l in open('/proc/self/status'):\n"
        "  if l[:6] in ('CapEff', 'CapBnd', 'NoNewP'): print(l.split()[1])\n"
        "print(os.getuid() == 0, *(os.access(p, os.W_OK) for p in ('/etc', '/usr', '/')))",
    )

    assert said.split() == ["0" * 16, "0" * 16, "1", "False", "False", "False", "False"]


@pytest.mark.holds("files")
def test_no_variable_of_the_portal_is_inherited(engine, monkeypatch):
    monkeypatch.setenv("ATRIUM_SECRET_KEY", "do not tell")

    _, said = run(engine, "import os; print(dict(os.environ)); print(open('/proc/1/environ').read())")

    assert "do not tell" not in said


@pytest.mark.holds("files")
def test_mounted_folder_for_reading_cannot_be_written(engine, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("as it was")

    observed, said = run(
        engine,
        "open('/data/a', 'w').write('changed')",
        mounts=[Mount(tmp_path / "data", "/data")],
    )

    assert observed.state == "failed"
    assert "Read-only" in said or "Permission" in said
    assert (tmp_path / "data" / "a").read_text() == "as it was"


@pytest.mark.holds("memory")
def test_tree_beyond_its_memory_is_ended_and_says_so(engine):
    script = (
        "import os, time\nfor _ in range(3): os.fork()\n"
        "x = bytearray(60 << 20)\nx[:] = b'1' * len(x)\ntime.sleep(60)"
    )

    observed, _ = run(engine, script, resources=Resources(memory_mb=200))

    assert observed.reason == "out of memory at 200 MB"
    assert observed.finished_at - observed.started_at < 10


@pytest.mark.holds("memory")
def test_hundred_gigabytes_at_once_are_refused(engine):
    observed, said = run(engine, "x = bytearray(100 << 30)", resources=Resources(memory_mb=200))

    assert "MemoryError" in said
    assert observed.reason.startswith("out of memory at 200 MB")


@pytest.mark.holds("fork_bomb")
def test_fork_bomb_hurts_only_itself(engine):
    if engine.level == "bubblewrap-rootless" and os.geteuid() == 0:
        pytest.skip("root is bound by no number of processes; the portal takes this level only without root")
    bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
    engine.start(Workload("bomb", [PYTHON, "-c", bomb], resources=Resources(processes=32), timeout_s=3))
    time.sleep(1.0)

    began = time.monotonic()
    engine.start(Workload("other", ["echo", "alive"]))
    assert wait_ended(engine, "other").state == "succeeded"
    assert time.monotonic() - began < 5

    bombed = wait_ended(engine, "bomb")
    assert bombed.state == "failed"
    assert bombed.reason in ("time limit of 3 s", "more than 32 processes", "out of memory at 1,024 MB")
    deadline = time.monotonic() + 10
    while (left := _bombs()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert left == []


def _bombs() -> list[Path]:
    """Processes of the bomb that still live; the kernel takes a moment to bury many at once."""
    return [path for path in Path("/proc").glob("[0-9]*/cmdline") if b"os.fork()" in _bytes(path)]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.mark.holds("output")
def test_endless_print_keeps_a_bounded_log_with_its_beginning_and_its_end(engine):
    script = "import sys\nprint('first')\nwhile True: sys.stdout.write('x' * 65535 + chr(10))"
    engine.start(Workload("w1", [PYTHON, "-c", script]))
    folder = engine.root / "w1"

    def something_was_left_out() -> bool:
        starts = [int(path.suffix[1:]) for path in folder.glob("log.*")]
        return bool(starts) and min(starts) > HEAD_BYTES

    wait_for(something_was_left_out, 90)
    engine.stop("w1", grace_s=0)
    wait_ended(engine, "w1")

    assert sum(path.stat().st_size for path in folder.glob("log*")) <= HEAD_BYTES + 2 * SEGMENT_BYTES
    data, offset, seen = b"", 0, b""
    while (read := engine.log("w1", offset))[1] != offset:
        data, offset = read
        seen += data
    assert seen.startswith(b"first\n")
    assert b"bytes of output left out]" in seen
    assert b"x" in data


@pytest.mark.holds("disk")
def test_full_disk_ends_the_workload_and_says_so(engine):
    script = "import time\nfor n in range(60):\n  open(str(n), 'wb').write(b'1' * (1 << 20))\ntime.sleep(30)"
    observed, _ = run(engine, script, resources=Resources(disk_mb=30))

    assert observed.reason == "out of disk space at 30 MB"


@pytest.mark.holds("disk")
@pytest.mark.parametrize(
    ("begins", "words"),
    [
        ("", "out of disk space at 30 MB: OSError: [Errno 27] File too large"),
        ("from signal import *; signal(SIGXFSZ, SIG_DFL)\n", "out of disk space at 30 MB"),
    ],
    ids=["error", "signal"],
)
def test_single_file_above_the_quota_is_refused(engine, begins, words):
    script = "f = open('big', 'wb')\nfor n in range(60): f.write(b'1' * (1 << 20)); f.flush()"
    observed, said = run(engine, begins + script, resources=Resources(disk_mb=30))

    # The watch of the folder's size may see it first.
    assert observed.reason in (words, "out of disk space at 30 MB"), said
    assert observed.state == "failed"


def test_words_of_another_file_that_was_too_large_are_not_the_disks(engine):
    observed, _said = run(engine, "raise SystemExit('The upload was refused: File too large')")

    assert observed.reason == "exit code 1: The upload was refused: File too large"


@pytest.mark.holds("temporary_files")
def test_temporary_folder_is_sized(engine):
    observed, said = run(
        engine,
        "open('/tmp/big', 'wb').write(b'1' * (30 << 20))",
        resources=Resources(tmp_mb=10),
    )

    assert "No space left" in said
    assert observed.state == "failed"


def test_link_out_of_outputs_is_never_followed(engine, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("do not tell")
    run(
        engine,
        f"import os\nos.mkdir('outputs'); os.symlink({str(secret)!r}, 'outputs/a')\n"
        f"os.symlink('/etc', 'outputs/b'); os.symlink({str(secret)!r}, 'result.json')\n"
        "os.mkfifo('outputs/c'); open('outputs/d', 'w').write('kept')",
    )

    assert [path for path, _ in engine.files("w1", "outputs")] == ["d"]
    assert engine.read("w1", "result.json") is None
    assert engine.read("w1", "outputs/b/passwd") is None


def test_socket_of_a_workload_is_reached_from_outside(engine):
    script = (
        "import os, socket\ns = socket.socket(socket.AF_UNIX)\n"
        "s.bind(os.environ['ATRIUM_RUN'] + '/port.sock')\ns.listen()\n"
        "c, _ = s.accept(); c.sendall(b'served')"
    )
    engine.start(Workload("w1", [PYTHON, "-c", script], port=True))
    path = engine.run_dir / "w1" / "port.sock"
    wait_for(path.exists)

    with socket.socket(socket.AF_UNIX) as client:
        wait_for(lambda: client.connect_ex(str(path)) == 0)
        assert client.recv(100) == b"served"


def test_flood_of_starts_of_one_id_runs_it_once(engine):
    workload = Workload("w1", ["sh", "-c", "echo ran"])
    threads = [threading.Thread(target=engine.start, args=(workload,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_ended(engine, "w1")

    assert engine.log("w1")[0] == b"ran\n"


@pytest.mark.holds("files")
def test_socket_that_is_a_link_leads_nowhere(engine):
    target, link = engine.run_dir / "secret.sock", engine.run_dir / "w1" / "port.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(target))
        server.listen()
        run(engine, f"import os; os.symlink({str(target)!r}, '/run/atrium/port.sock')")

        with pytest.raises(OSError, match="no socket"), real_socket(link):
            pass
        with real_socket(target) as name, socket.socket(socket.AF_UNIX) as client:
            client.connect(name)


def test_workload_cannot_take_a_socket_of_the_portal_away(engine):
    if engine.level != "bubblewrap":
        pytest.skip("only where the folder is the portal's")
    engine.start(Workload("w1", ["sh", "-c", "sleep 0.5; rm -f /run/atrium/egress.sock; ls /run/atrium"]))
    (engine.run_dir / "w1" / "egress.sock").touch()

    wait_ended(engine, "w1")

    assert b"egress.sock\n" in engine.log("w1")[0]


@pytest.mark.holds("memory")
def test_memory_outside_of_processes_is_out_of_reach(engine):
    if not sandbox.filters(engine.level):
        pytest.skip("system calls cannot be filtered here")
    _, said = run(
        engine,
        "import os, ctypes, subprocess\n"
        "try: os.memfd_create('x'); print('memfd')\nexcept OSError: print('refused')\n"
        "print('refused' if ctypes.CDLL(None).shmget(0, 4096, 0o1600) < 0 else 'shm')\n"
        "print('refused' if subprocess.call(['unshare', '-Ur', 'true']) else 'namespace')\n"
        "import threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()",
    )

    assert [line for line in said.splitlines() if "unshare" not in line] == [*["refused"] * 3, "thread"]


@pytest.mark.holds("temporary_files")
def test_temporary_files_count_as_memory(engine):
    observed, _ = run(
        engine,
        "import time\nopen('/dev/shm/x', 'wb').write(b'1' * (150 << 20)); time.sleep(30)",
        resources=Resources(memory_mb=128, tmp_mb=200),
    )

    assert observed.reason == "out of memory at 128 MB"
