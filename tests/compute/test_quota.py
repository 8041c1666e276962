"""A folder at its quota is frozen: nothing grows, deleting goes on, and what is deleted thaws it."""

from pathlib import Path

from apps.compute.engines.base import Resources, Workload

from .conftest import wait_for

PYTHON = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else "python3"

WRITER = """
import os, pathlib, shutil, time

def wait_until(can_write, words):
    while True:
        try:
            pathlib.Path("probe").write_bytes(b"x" * 4096)
            said = "written"
        except OSError as error:
            said = error.strerror
        if (said == "written") == can_write:
            print(words, said, flush=True)
            return
        time.sleep(0.05)

wait_until(True, "first")
os.mkdir("big")  # one file may be as large as the quota; several together reach it
for n in range(2):
    pathlib.Path("big", str(n)).write_bytes(os.urandom(1_200_000))
wait_until(False, "frozen")
while not os.path.exists("now-delete"):
    time.sleep(0.05)
shutil.rmtree("big")
wait_until(True, "thawed")
time.sleep(60)
"""


def test_at_the_quota_writing_stops_and_deleting_brings_it_back(local_engine):
    resources = Resources(memory_mb=200, disk_mb=2)
    local_engine.start(Workload("w1", [PYTHON, "-c", WRITER], resources=resources, at_quota="freeze"))

    wait_for(lambda: b"frozen File too large" in local_engine.log("w1")[0], 30)
    wait_for(lambda: local_engine.observe("w1").frozen)
    assert not local_engine.observe("w1").ended
    (local_engine.root / "w1" / "work" / "now-delete").touch()
    wait_for(lambda: b"thawed written" in local_engine.log("w1")[0], 30)
    wait_for(lambda: not local_engine.observe("w1").frozen)
