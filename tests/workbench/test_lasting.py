"""What one server leaves for the next, without either: the code of the sandbox in its own Python."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import atrium
from apps.compute import environments


@pytest.fixture
def run(tmp_path):
    """Runs code where `atrium.lasting` stands, with records in a folder of the test; gives what it prints as JSON."""
    python = environments.build("base", say=lambda words: None) / "bin" / "python"
    known = {"PYTHONPATH": str(Path(atrium.__file__).parents[1]), "JUPYTER_RUNTIME_DIR": str(tmp_path)}

    def make(code):
        done = subprocess.run(
            [python, "-c", code], env={**os.environ, **known}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return make


FROZEN = """
import json, os, resource
from atrium.lasting import Record, began_at

record = Record("k")
record.write(pid=os.getpid(), began=began_at(os.getpid()))
record.asked("1", "first", None)
record.asked("2", "second", None)
record.begins("first")
record.runs("message")
before = record.read()
_soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
record.note({"header": {"msg_type": "stream", "msg_id": "m"}, "content": {"text": "unwritten"}})
record.ended(well=True)
record.begins("second")
record.runs("another")
frozen = record.living()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
record.ended(well=True)
record.asked("3", "third", None)
print(json.dumps([before, frozen, record.read()]))
"""


def test_where_nothing_can_be_written_cells_run_and_none_is_taken_up_twice(run):
    before, frozen, thawed = run(FROZEN)

    assert ([uid for uid, *_ in before["requests"]], before["running"]) == (["1", "2"], "message")
    assert frozen["pid"]  # the kernel is still found
    assert "requests" not in frozen
    assert ([uid for uid, *_ in thawed["requests"]], thawed["running"]) == (["3"], None)


CUT = """
import json
from atrium.lasting import Record, runtime_folder

runtime_folder().mkdir()
record = Record("k")
record.outputs.write_text('{"a": 1}\\n{"b": {"c": 2}\\n{"d": 3}\\n{"e"')
print(json.dumps(record.noted()))
"""


def test_lines_that_a_full_disk_has_cut_are_left_out(run):
    assert run(CUT) == [{"a": 1}, {"d": 3}]


SERVER = """
import asyncio, json, logging, os
from types import SimpleNamespace
from jupyter_server_nbmodel import execution_stack
from atrium import lasting
from atrium.lasting import Record, Return, began_at, runtime_folder

class Kernels(dict):
    async def start_kernel(self, kernel_id, **kwargs):
        self[kernel_id] = SimpleNamespace(unfinished="", client=lambda: SimpleNamespace(wait_for_ready=ready))

    def get_kernel(self, kernel_id):
        return self[kernel_id]

async def ready():
    pass

ran, heard = [], []

async def worker(kernel_id, client, documents, queue, *_):
    while True:
        _uid, code, _metadata = await queue.get()
        ran.append([kernel_id, code])
        queue.task_done()

execution_stack.kernel_worker = worker
server = SimpleNamespace(
    kernel_manager=Kernels(),
    extension_manager=SimpleNamespace(extension_apps={}),
    io_loop=SimpleNamespace(call_later=lambda _seconds, _call, kernel_id: heard.append(kernel_id)),
    log=logging.getLogger("server"),
)
back = Return(server)

def left(kernel_id, *cells, **facts):
    record = Record(kernel_id)
    known = {"pid": os.getpid(), "began": began_at(os.getpid())}
    record.write(**known, kernel_name="python3", cwd="/", session=None, **facts)
    for number, code in enumerate(cells):
        record.asked(f"{kernel_id}{number}", code, None)
    return record
"""

ASKED_EARLY = """
async def main():
    record = left("k", "runs", "waits")
    record.begins("runs")
    record.runs("message")
    await back.find_kernels()
    stack = back._stack(server.kernel_manager, None)
    new = stack.put("k", "new")
    early = stack.get("k", new)["pending"]
    recorded = [code for _uid, code, _metadata in record.read()["requests"]]
    await back.take_up_cells()
    await asyncio.sleep(0.05)
    kernel = server.kernel_manager["k"]
    print(json.dumps([early, recorded, ran, stack.get("k", new)["pending"], kernel.unfinished_code]))

asyncio.run(main())
"""


def test_a_cell_that_is_asked_for_before_the_earlier_ones_are_taken_up_runs_behind_them(run):
    in_order = ["runs", "waits", "new"]

    assert run(SERVER + ASKED_EARLY) == [True, in_order, [["k", code] for code in in_order], True, "runs"]


ODD = """
runtime_folder().mkdir()
for name, text in {"a": "{}", "b": '{"began": ""}', "c": "[1]", "d": '{"began": "1"}', "e": "{"}.items():
    (runtime_folder() / f"{name}.json").write_text(text)
left("f", "code", 7)
left("y", "of a kernel that is gone").begins("nothing")
left("z", "code")
Record("f").keep(requests=[["too", "short"]])

async def main():
    Record("nobody").begins("code")
    await back.find_kernels()
    stack = back._stack(server.kernel_manager, None)
    found = sorted(server.kernel_manager)
    stack.expect("y", [("y0", "never", None)])
    back.requests = {"y": [], **back.requests}
    del server.kernel_manager["y"]
    await back.take_up_cells()
    await asyncio.sleep(0.05)
    print(json.dumps([found, ran, heard, Record("nobody").path.exists()]))

asyncio.run(main())
"""


def test_one_odd_record_and_one_kernel_that_is_gone_leave_the_others_alone(run):
    assert run(SERVER + ODD) == [["y", "z"], [["z", "code"]], ["y", "z"], False]


HANGS = """
from atrium import lasting

async def main():
    left("k", "code")
    left("l", "behind it")
    await back.find_kernels()
    back._stack(server.kernel_manager, None)
    lasting._OPENS_WITHIN_S = 0.05
    back._open = lambda cell: asyncio.Event().wait()
    await back.take_up_cells()
    await asyncio.sleep(0.05)
    print(json.dumps([ran, heard]))

asyncio.run(main())
"""


def test_a_document_that_never_opens_holds_up_no_cell(run):
    assert run(SERVER + HANGS) == [[["k", "code"], ["l", "behind it"]], ["k", "l"]]


IDS = """
import json
from atrium.lasting import LastingKernelManager

manager = LastingKernelManager(kernel_name="python3")
sessions = [manager.session, manager.client().session, manager.client().session]
ids = {session.msg("execute_request")["header"]["msg_id"] for session in sessions}
print(json.dumps([len(ids), len({session.key for session in sessions})]))
"""


def test_no_message_of_a_client_has_the_id_of_one_of_its_manager_as_its_end_would_pass_for_the_cells(run):
    assert run(IDS) == [3, 1]


SCREENS = """
import json
from atrium.lasting import runtime_folder
from atrium.terminals import Screen

path = runtime_folder() / "7.screen"
Screen(path).append("first\\r\\n")
Screen(path).append(" second")
print(json.dumps(list(Screen(path))))
"""


FULL = """
import json, resource
from atrium.lasting import runtime_folder
from atrium.terminals import _SHOWN, Screen

screen = Screen(runtime_folder() / "7.screen")
screen.append("x" * (2 * _SHOWN + 1))
_soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
screen.append("unwritten")
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
kept = len("".join(Screen(screen.path)))
screen.append("end")
print(json.dumps([kept == _SHOWN, "".join(screen)[-12:], "".join(Screen(screen.path))[-12:]]))
"""


def test_a_full_disk_takes_away_nothing_of_what_a_terminal_showed(run):
    assert run(FULL) == [True, "unwrittenend", "unwrittenend"]


def test_what_a_terminal_showed_is_kept_where_no_kernel_has_made_the_folder_yet(run):
    assert run(SCREENS) == ["first\r\n second"]


KERNEL = """
import asyncio, json, os
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from atrium import lasting

async def main():
    manager = AsyncMappingKernelManager(kernel_manager_class="atrium.lasting.LastingKernelManager")
    number = await manager.start_kernel(kernel_name="python3")
    kernel = manager.get_kernel(number)
    client = kernel.client()
    await client.wait_for_ready()

    async def run(word):
        said = []
        hook = lambda message: said.append(message["content"].get("text") or message["content"].get("evalue"))
        code = f"open({path!r}, 'a').write('{word} '); print('{word}')"
        reply = await client.execute_interactive(code, output_hook=hook, allow_stdin=False)
        return reply["content"]["status"], [words for words in said if words]

    async def kill():
        kernel.stop_restarter()
        kernel.provisioner.process.kill()
        while await kernel.is_alive():
            await asyncio.sleep(0.01)

    try:
        print(json.dumps([await steps(manager, number, kernel, client, run, kill), open(path).read().split()]))
    finally:
        await manager.shutdown_kernel(number, now=True)

path = os.environ["JUPYTER_RUNTIME_DIR"] + "/ran"
"""

NEXT_PROCESS = """
async def steps(manager, number, kernel, client, run, kill):
    replies = [await run("first")]
    await kill()
    dead = asyncio.ensure_future(run("dead"))
    await asyncio.sleep(0.2)
    restart = asyncio.ensure_future(manager.restart_kernel(number))
    replies.append(await dead)
    await restart
    restart = asyncio.ensure_future(manager.restart_kernel(number))
    await kernel.restarting.wait()
    replies.append(await run("restarting"))
    await restart
    await manager.restart_kernel(number)
    return [*replies, await run("restarted")]

asyncio.run(main())
"""


def test_a_cell_that_is_asked_for_before_the_next_process_stands_runs_in_it_once_and_is_heard(run):
    words = ["first", "dead", "restarting", "restarted"]

    assert run(KERNEL + NEXT_PROCESS) == [[["ok", [f"{word}\n"]] for word in words], words]


NO_PROCESS = """
async def steps(manager, number, kernel, client, run, kill):
    await kill()
    lasting._NEXT_STANDS_WITHIN_S = 0.1
    replies = [await run("unsent")]
    hears, client._hears_the_process = client._hears_the_process, lambda: asyncio.sleep(0, True)
    replies.append(await run("sent as it died"))
    client._hears_the_process = hears
    await manager.restart_kernel(number)
    return [*replies, await run("next")]

asyncio.run(main())
"""


def test_a_cell_that_is_told_that_its_kernel_is_gone_runs_in_no_later_one(run):
    replies, ran = run(KERNEL + NO_PROCESS)

    assert replies == [
        ["error", ["the kernel has ended; this cell did not run"]],
        ["error", ["the kernel was restarted, or has ended, while this cell ran"]],
        ["ok", ["next\n"]],
    ]
    assert ran == ["next"]
