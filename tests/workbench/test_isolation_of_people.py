"""From one person's workspace and another one's job, both really running: nothing of the other can be reached."""

import json
import uuid
from pathlib import Path

import pytest

from apps.compute.adapters import engine
from apps.compute.engines import sandbox
from apps.compute.engines.base import Resources
from apps.compute.services import attempts, remove_workload, submit_script, workload_socket
from apps.workbench.launch import folder_of, home_of
from tests.factories import make_user
from tests.workbench import probe as probing
from tests.workbench.conftest import wait_for
from tests.workbench.test_run_code import execute

pytestmark = pytest.mark.django_db(transaction=True)

PROBE = Path(probing.__file__).read_text(encoding="utf-8")
TOKEN_OF_LAB = "no-token"
"""What `lab` gives the server in place of its owner's token."""
HOLDS = {"files": "files", "processes": "processes", "sockets": "network", "secrets": "processes"}


def nothing_where_promised(found):
    """Whether the level of the sandbox keeps what its table says."""
    level = sandbox.probe().holds
    return {kind: what for kind, what in found.items() if what and HOLDS[kind] in level} == {}


@pytest.fixture
def job(transport, monkeypatch):
    """Another person's job: holds a port, a file and a secret, probes what it is told, and stays."""
    monkeypatch.setattr("apps.core.background.enqueue", lambda *args, **facts: True)
    zoe, made = make_user("zoe", team=transport, role="developer"), []

    def start(asked, name, secret):
        code = f"""{PROBE}
import json
import time
listener = socket.create_server(("127.0.0.1", 0))
open("{name}", "w").write("mine")
print("PORT", listener.getsockname()[1])
print("FOUND", json.dumps(probe(json.loads({json.dumps(asked)!r}))), flush=True)
time.sleep(300)
"""
        job = submit_script(
            "Probe", code, by=zoe, team=transport, network="none", env={"MINE": secret},
            resources=Resources(cpu=0.5, memory_mb=256),
        )  # fmt: skip
        attempts.reconcile()
        job.refresh_from_db()
        made.append(job.workload_id)
        return job

    yield start
    for workload_id in made:
        remove_workload(workload_id)


def lines_of(workload_id):
    said = engine().log(workload_id)[0].decode()
    return {line.partition(" ")[0]: line.partition(" ")[2] for line in said.splitlines() if " " in line}


def asking(guest, kernel, asked):
    """What the owner's code reaches of this."""
    code = f"{PROBE}\nimport json; print(json.dumps(probe(json.loads({json.dumps(asked)!r}))))"
    return json.loads(execute(guest, kernel, code, 120))


def from_outside(asked):
    """The same looked for from here, without going through the whole disk."""
    return probing.probe({**asked, "name": ""})


def test_a_job_and_a_workspace_of_two_people_reach_nothing_of_each_other(inside, ada, workspace, job):
    guest, name = inside(ada), f"hers-{uuid.uuid4().hex}"
    kernel = json.loads(guest.post("/api/kernels").text)["id"]
    (home_of(workspace) / name).write_text("hers")
    told = "from ipykernel.connect import get_connection_file\nprint(open(get_connection_file()).read())"
    facts = json.loads(execute(guest, kernel, told))
    ports = [["127.0.0.1", facts[f"{line}_port"]] for line in ("shell", "iopub", "stdin", "control", "hb")]
    hers = {
        "files": [str(home_of(workspace)), str(folder_of(workspace) / "etc"), str(engine().root)],
        "name": name,
        "processes": [engine().observe(workspace.workload_id).pid],
        "sockets": [str(workload_socket(workspace.workload_id)), *ports],
        "secrets": [TOKEN_OF_LAB, facts["key"], f"/{workspace.workload_id}/"],
    }
    # All of it is there, and reached by whoever may.
    there = from_outside(hers)
    assert (there["files"], there["processes"]) == (hers["files"], hers["processes"])
    assert (there["sockets"], bool(there["secrets"])) == (hers["sockets"][:1], True)
    own = asking(guest, kernel, hers)
    assert (own["sockets"], own["files"], bool(own["secrets"])) == (ports, [f"/work/{name}"], True)

    his_name, his_secret = f"his-{uuid.uuid4().hex}", uuid.uuid4().hex
    his_job = job(hers, his_name, his_secret)
    said = wait_for(lambda: "FOUND" in (said := lines_of(his_job.workload_id)) and said, 120)
    assert nothing_where_promised(json.loads(said["FOUND"])), said["FOUND"]

    his = {
        "files": [str(engine().root / his_job.workload_id), f"/work/{his_name}"],
        "name": his_name,
        "processes": [engine().observe(his_job.workload_id).pid],
        "sockets": [["127.0.0.1", int(said["PORT"])]],
        "secrets": [his_secret, f"/{his_job.workload_id}/"],
    }
    there = from_outside(his)
    assert (there["files"], there["processes"]) == (his["files"][:1], his["processes"])
    assert there["secrets"]
    found = asking(guest, kernel, his)
    assert nothing_where_promised(found), found
