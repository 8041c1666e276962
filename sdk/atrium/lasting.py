"""Kernels that outlive the Jupyter server which started them, and the cells that run in them.

A record beside each kernel's connection file says which process it is, what was asked of it, and what the cell that
runs has put out. A server that starts again after a kill finds the process by it, listens on under the same id, and
writes into the notebook what the cell puts out from there on; cells that still waited are run as before.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from jupyter_client.asynchronous import AsyncKernelClient
from jupyter_client.provisioning import LocalProvisioner
from jupyter_client.session import Session
from jupyter_server.services.kernels.kernelmanager import ServerKernelManager
from jupyter_server_nbmodel import extension as nbmodel
from jupyter_server_nbmodel.execution_stack import ExecutionStack
from jupyter_server_ydoc.stores import SQLiteYStore
from traitlets import Type
from traitlets.config import Application

from atrium.unheard import AGAIN, QUESTION, SWITCH

if TYPE_CHECKING:
    from jupyter_server.serverapp import ServerApp

Hook = Callable[[dict[str, Any]], None]
Cell = tuple[str, str, dict[str, Any] | None]
"""The id under which it was asked for, its code, and where it stands."""

_MOST_OUTPUT_BYTES = 32 << 20
_LOOKS_EVERY_S = 1.0
_LOOKS_FOR_THE_NEXT_EVERY_S = 0.05
_NEXT_STANDS_WITHIN_S = 60.0
"""A kernel that has died is missed within seconds; one that cannot start is given up."""
_ASKS_FOR_THE_REST_AFTER_S = 10.0
_OPENS_WITHIN_S = 60.0
"""A store of documents that was damaged may never open one; the cells behind it are to run all the same."""
_ANSWERED = "atrium_answered"
"""Noted among a cell's messages when its question was answered; what was answered is not kept."""


def runtime_folder() -> Path:
    """Where a server leaves what the next one needs; gone with the sandbox."""
    return Path(os.environ.get("JUPYTER_RUNTIME_DIR", "/tmp/jupyter")) / "lasting"  # noqa: S108


def began_at(pid: int) -> str:
    """When a process began, by which it is told from another one with its number; empty when it is gone."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, facts: dict[str, Any]) -> bool:
    """Replace a file in one step; False where nothing can be written, as in a folder that is full or frozen."""
    part = path.with_name(f"{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.write_text(json.dumps(facts), encoding="utf-8")
        part.replace(path)
    except OSError:
        return False
    return True


class Record:
    """What is known of one kernel beyond this process: the process, and beside it what was asked of it.

    `requests` stand in the order in which they run; `running` is the message of the first of them once it was sent.
    """

    def __init__(self, kernel_id: str) -> None:
        self.kernel_id = kernel_id
        self.path = runtime_folder() / f"{kernel_id}.json"
        self.cells = runtime_folder() / f"{kernel_id}.cells"
        self.outputs = runtime_folder() / f"{kernel_id}.outputs"

    def read(self) -> dict[str, Any]:
        """All of it; empty where there is none."""
        kernel = _read(self.path)
        return _read(self.cells) | kernel if kernel else {}

    def write(self, **facts: Any) -> None:
        """The kernel has started. Where this cannot be written, it is a kernel that the next server does not know."""
        _write(self.path, facts)

    def living(self) -> dict[str, Any]:
        """The record of a kernel whose process lives; else empty."""
        found = self.read()
        return found if found.get("began") and began_at(found.get("pid", 0)) == found["began"] else {}

    def forget(self) -> None:
        """The kernel is gone."""
        for path in (self.path, self.cells, self.outputs):
            path.unlink(missing_ok=True)

    def _requests(self) -> list[Any]:
        requests: list[Any] = _read(self.cells).get("requests", [])
        return requests

    def keep(self, **facts: Any) -> None:
        """Change what is known of the cells.

        Where this cannot be written they are forgotten: they run, but no server takes up what may have run already.
        """
        if self.path.exists() and not _write(self.cells, _read(self.cells) | facts):
            self.cells.unlink(missing_ok=True)

    def asked(self, uid: str, code: str, metadata: dict[str, Any] | None) -> None:
        """A cell waits for the kernel."""
        self.keep(requests=[*self._requests(), [uid, code, metadata]])

    def begins(self, code: str) -> None:
        """The cell with this code is about to run; those before it were dropped."""
        requests = self._requests()
        while requests and requests[0][1] != code:
            requests = requests[1:]
        self.outputs.unlink(missing_ok=True)
        self.keep(requests=requests, running=None)

    def runs(self, message: str) -> None:
        """The cell that begins was sent to the kernel as this message."""
        if self._requests():
            self.keep(running=message)

    def ended(self, *, well: bool) -> None:
        """The cell has ended; an error also takes what waited behind it."""
        self.outputs.unlink(missing_ok=True)
        self.keep(requests=self._requests()[1:] if well else [], running=None)

    def note(self, message: dict[str, Any]) -> None:
        """Keep a message of the cell that runs."""
        kind = message["header"]["msg_type"]
        kept = {"header": {"msg_type": kind, "msg_id": message["header"]["msg_id"]}, "msg_type": kind}
        kept |= {"content": message["content"], "metadata": message.get("metadata", {})}
        with suppress(OSError), self.outputs.open("a", encoding="utf-8") as file:
            if file.tell() < _MOST_OUTPUT_BYTES:
                file.write(json.dumps(kept, default=str) + "\n")

    def answered(self) -> None:
        """What the cell that runs has asked last was answered."""
        self.note({"header": {"msg_type": _ANSWERED, "msg_id": str(uuid4())}, "content": {}})

    def noted(self) -> list[dict[str, Any]]:
        """The messages of the cell that runs; what a kill or a full disk has cut is left out."""
        try:
            lines = self.outputs.read_text(encoding="utf-8", errors="replace").split("\n")
        except OSError:
            return []
        found = []
        for line in lines[:-1]:
            with suppress(ValueError):
                found.append(json.loads(line))
        return found


class Found:
    """A process that another one has started, as far as a provisioner uses `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, pid: int, began: str) -> None:
        self.pid, self.began = pid, began
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code, which nobody but its parent learns: 1 once it is gone."""
        if self.returncode is None and began_at(self.pid) != self.began:
            self.returncode = 1
        return self.returncode

    def wait(self) -> int:
        """Called once `poll` has said that it is gone."""
        return self.returncode or 0

    def send_signal(self, number: int) -> None:
        """As Popen's."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As Popen's."""
        self.send_signal(9)

    def terminate(self) -> None:
        """As Popen's."""
        self.send_signal(15)


class LastingProvisioner(LocalProvisioner):
    """Starts a kernel that does not watch its parent, or finds the one that an earlier server had started."""

    def _found(self) -> dict[str, Any]:
        return Record(self.kernel_id).living() if self.process is None else {}

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """See KernelProvisionerBase.pre_launch."""
        if not self._found():
            return await super().pre_launch(**kwargs)
        self.parent.load_connection_file()
        self.connection_info = self.parent.get_connection_info()
        self.ports_cached = True  # a restart keeps them
        return {**kwargs, "cmd": []}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """See KernelProvisionerBase.launch_kernel."""
        if found := self._found():
            self.process = Found(found["pid"], found["began"])
            self.pid = self.pgid = found["pid"]
            self.cwd = found["cwd"]
            return self.connection_info
        info = await super().launch_kernel(["env", "JPY_PARENT_PID=1", f"{SWITCH}=1", *cmd], **kwargs)
        record = Record(self.kernel_id)
        record.forget()
        record.write(
            pid=self.pid,
            began=began_at(self.pid),
            kernel_name=self.parent.kernel_name,
            cwd=str(self.cwd),
            session=kwargs.get("env", {}).get("JPY_SESSION_NAME"),
        )
        return info

    async def cleanup(self, restart: bool = False) -> None:
        """See KernelProvisionerBase.cleanup."""
        if not restart:
            Record(self.kernel_id).forget()
        await super().cleanup(restart=restart)


class LastingClient(AsyncKernelClient):
    """Runs cells so that another server can go on with them, and goes on with the one that an earlier server ran."""

    def __init__(self, *args: Any, session: Session, **kwargs: Any) -> None:
        own = session.clone()
        own.session = uuid4().hex  # the manager counts its messages, too, and ids must not meet
        super().__init__(*args, session=own, **kwargs)
        self._heard: Any = None

    @property
    def record(self) -> Record:
        """Of the kernel that this client talks to."""
        return Record(self.parent.kernel_id)

    def _unfinished(self) -> str:
        """The message of an earlier server's cell that is not known to have ended; asked for once."""
        found: str = getattr(self.parent, "unfinished", "")
        return found

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """A kernel that is in a cell answers when the cell ends: then it is enough to hear it.

        Where none stands it returns as well, and each cell says so: no cell at all would run after an error.
        """
        if self._unfinished():
            self._heard = await self._process()
        else:
            await asyncio.wait_for(self._hears_the_process(), timeout)

    async def _process(self) -> Any:
        """The kernel's process, or what stands for it at another provisioner; None when it is gone or about to be."""
        if self.parent.restarting.is_set() or not await self.parent.is_alive():
            return None
        return getattr(self.parent.provisioner, "process", self.parent.provisioner)

    async def _hears_the_process(self) -> bool:
        """Wait until a process stands and answers; False when none comes.

        What is sent while there is none would be run by the next one, and what it says first would not be heard.
        """
        until = time.monotonic() + _NEXT_STANDS_WITHIN_S
        while (process := await self._process()) is None or process is not self._heard:
            if process is not None:
                self._hang_up()
                with suppress(RuntimeError):  # it has ended meanwhile
                    await super().wait_for_ready()
                    self._heard = process
            elif time.monotonic() > until:
                return False
            else:
                await asyncio.sleep(_LOOKS_FOR_THE_NEXT_EVERY_S)
        return True

    def _hang_up(self) -> None:
        """Close the lines on which cells run, with all that was not yet sent or read; they open when next used."""
        for name in ("_shell_channel", "_iopub_channel", "_stdin_channel"):
            if line := getattr(self, name):
                line.close()
                setattr(self, name, None)

    def execute(self, *args: Any, **kwargs: Any) -> str:
        """See KernelClient.execute."""
        message: str = super().execute(*args, **kwargs)
        self.record.runs(message)
        return message

    def input(self, string: str) -> None:
        """See KernelClient.input. A kernel takes an answer from whoever gives it."""
        self.record.answered()
        super().input(string)

    async def execute_interactive(
        self,
        code: str,
        *args: Any,
        output_hook: Hook,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """See KernelClient.execute_interactive. A cell whose process is gone ends; it was waited for without an end."""
        goes_on = self._unfinished() and code == self.parent.unfinished_code
        if goes_on or await self._hears_the_process():
            reply = await self._run_while_it_lives(code, *args, output_hook=output_hook, **kwargs)
        else:
            reply = _gone(output_hook, "the kernel has ended; this cell did not run")
        self.record.ended(well=reply["content"]["status"] == "ok")
        return reply

    async def _run_while_it_lives(
        self, code: str, *args: Any, output_hook: Hook, **kwargs: Any
    ) -> dict[str, Any]:
        running = asyncio.ensure_future(self._run(code, *args, output_hook=output_hook, **kwargs))
        gone = asyncio.ensure_future(self._until_gone())
        try:
            await asyncio.wait({running, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = running.done()
            for task in (running, gone):
                task.cancel()
            await asyncio.gather(running, gone, return_exceptions=True)
        if ended:
            return running.result()
        self._hang_up()
        return _gone(output_hook, "the kernel was restarted, or has ended, while this cell ran")

    async def _until_gone(self) -> None:
        """Return when the kernel's process has ended, or is about to."""
        process = getattr(self.parent.provisioner, "process", None)
        while process is None or (process.poll() is None and self.parent.provisioner.process is process):
            with suppress(TimeoutError):
                await asyncio.wait_for(self.parent.restarting.wait(), _LOOKS_EVERY_S)
                return

    async def _run(
        self, code: str, *args: Any, output_hook: Hook, stdin_hook: Hook | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        unfinished, self.parent.unfinished = self._unfinished(), ""
        if unfinished and code == self.parent.unfinished_code:
            return await self._go_on(unfinished, output_hook, stdin_hook)
        self.record.begins(code)
        hook = partial(self._note, output_hook)
        reply: dict[str, Any] = await super().execute_interactive(
            code, *args, output_hook=hook, stdin_hook=stdin_hook, **kwargs
        )
        return reply

    def _note(self, output_hook: Hook, message: dict[str, Any]) -> None:
        self.record.note(message)
        output_hook(message)

    async def _go_on(self, unfinished: str, output_hook: Hook, stdin_hook: Hook | None) -> dict[str, Any]:
        """Put out again what the cell had put out, then all that follows, until the kernel says that it has ended.

        The reply went to the server that is gone, as its questions do; both follow from the outputs.
        """
        seen = self.record.noted()
        known = {message["header"]["msg_id"] for message in seen}
        for message in seen:
            output_hook(message)
        if stdin_hook and (question := _unanswered(seen)):
            stdin_hook(_asked(question))
        self.iopub_channel.socket.subscribe(AGAIN)
        last = {unfinished, self.kernel_info()}  # answered behind the cell, should its end have been missed
        while await self.parent.is_alive():
            if not await self.iopub_channel.socket.poll(1000 * _LOOKS_EVERY_S):
                continue
            message = await self.iopub_channel.get_msg(timeout=0)
            parent, kind = message["parent_header"].get("msg_id"), message["header"]["msg_type"]
            if kind == "status" and parent in last and message["content"]["execution_state"] == "idle":
                return {"content": _reply(seen)}
            if parent == unfinished and message["header"]["msg_id"] not in known:
                seen.append(message)
                self._note(output_hook, message)
                if stdin_hook and kind == QUESTION:
                    stdin_hook(_asked(message))
        return {"content": {"status": "error", "execution_count": None}}


def _gone(output_hook: Hook, words: str) -> dict[str, Any]:
    """The reply to a cell whose process is gone; the cell says so, too."""
    name = "KernelGone"
    content = {"ename": name, "evalue": words, "traceback": [f"{name}: {words}"]}
    header = {"msg_type": "error", "msg_id": str(uuid4())}
    output_hook({"header": header, "msg_type": "error", "content": content, "metadata": {}})
    return {"content": {"status": "error", "execution_count": None, **content}}


def _unanswered(messages: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The question that the cell which said this waits for."""
    for message in reversed(messages):
        if message["header"]["msg_type"] in (QUESTION, _ANSWERED, "error"):
            return message if message["header"]["msg_type"] == QUESTION else None
    return None


def _asked(question: dict[str, Any]) -> dict[str, Any]:
    """A question as it stands on the line of questions."""
    header = {**question["header"], "msg_type": "input_request", "date": datetime.now(UTC).isoformat()}
    return {"header": header, "content": question["content"]}


def _reply(messages: list[dict[str, Any]]) -> dict[str, Any]:
    counts = [message["content"].get("execution_count") for message in messages]
    failed = any(message["header"]["msg_type"] == "error" for message in messages)
    count = next((count for count in counts if count is not None), None)
    return {"status": "error" if failed else "ok", "execution_count": count}


class LastingKernelManager(ServerKernelManager):
    """A kernel that does not end with the server. Kernel specifications may name a provisioner of their own."""

    client_factory = Type(default_value=LastingClient, klass=AsyncKernelClient)
    kernel_id: str
    provisioner: Any
    unfinished = ""
    """The message that asked for the cell in which an earlier server has left it."""
    unfinished_code = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.restarting = asyncio.Event()

    async def restart_kernel(self, *args: Any, **kwargs: Any) -> Any:
        """See KernelManager.restart_kernel. What runs and waits ends first: what is asked for afterwards is to run."""
        self.restarting.set()
        try:
            return await super().restart_kernel(*args, **kwargs)
        finally:
            self.restarting.clear()

    async def _async_pre_start_kernel(self, **kwargs: Any) -> Any:
        if self.provisioner is None and "kernel_provisioner" not in (self.kernel_spec.metadata or {}):
            self.kernel_id = self.kernel_id or kwargs["kernel_id"]
            self.provisioner = LastingProvisioner(
                kernel_id=self.kernel_id, kernel_spec=self.kernel_spec, parent=self
            )
        return await super()._async_pre_start_kernel(**kwargs)


class LastingStack(ExecutionStack):
    """The cells that the server was asked to run; pages know them by ids, which also stay good."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._waiting: dict[str, deque[Cell]] = {}
        self._now: dict[str, str] = {}

    def expect(self, kernel_id: str, cells: list[Cell]) -> None:
        """These were asked for at the server before and are about to be taken up, in this order."""
        self._waiting[kernel_id] = deque(cells)

    def first(self, kernel_id: str) -> Cell | None:
        """The cell that is to be taken up next."""
        cells = self._waiting.get(kernel_id)
        return cells[0] if cells else None

    def take_up(self, kernel_id: str) -> None:
        """Run, or go on with, the first cell."""
        uid, code, metadata = self._waiting[kernel_id].popleft()
        self._now[uid] = super().put(kernel_id, code, metadata)

    def put(self, kernel_id: str, snippet: str, metadata: Any = None, remote_server: Any = None) -> str:
        """See ExecutionStack.put. What is asked for before the earlier cells are taken up waits behind them."""
        if remote_server is None and self.first(kernel_id):
            uid = str(uuid4())
            self._waiting[kernel_id].append((uid, snippet, metadata))
        else:
            uid = super().put(kernel_id, snippet, metadata, remote_server=remote_server)
        if remote_server is None:
            Record(kernel_id).asked(uid, snippet, metadata)
        return uid

    def get(self, kernel_id: str, uid: str) -> Any:
        """See ExecutionStack.get."""
        if any(uid == cell[0] for cell in self._waiting.get(kernel_id, ())):
            about = {"request_id": uid, "kernel_id": kernel_id, "request_status": "queued"}
            return about | {"pending": True, "outputs": "[]"}
        return super().get(kernel_id, self._now.get(uid, uid))

    async def interrupt(self, kernel_id: str, request_id: str | None = None) -> None:
        """See ExecutionStack.interrupt."""
        await super().interrupt(kernel_id, self._now.get(request_id, request_id) if request_id else None)


class DocumentStore(SQLiteYStore):
    """The store of shared documents, with the server's settings also where a room is opened without a browser."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("config", Application.instance().config)
        super().__init__(*args, **kwargs)


class Return:
    """What a server that starts finds of the one before it."""

    def __init__(self, server: ServerApp) -> None:
        self.server = server
        self.requests: dict[str, list[Cell]] = {}
        nbmodel.ExecutionStack = self._stack
        self.stack: LastingStack | None = None

    def _stack(self, *args: Any, **kwargs: Any) -> LastingStack:
        self.stack = LastingStack(*args, **kwargs)
        for kernel_id, requests in self.requests.items():
            self.stack.expect(kernel_id, requests)
        return self.stack

    async def find_kernels(self) -> None:
        """Take over each kernel that lives, under its id, before anybody is answered."""
        for path in sorted(runtime_folder().glob("*.json")):
            record = Record(path.stem)
            try:
                if known := record.living():
                    await self._find(record, known)
                else:
                    record.forget()
            except Exception as error:
                self.server.log.warning("kernel %s cannot be taken over: %s", path.stem, error)

    async def _find(self, record: Record, known: dict[str, Any]) -> None:
        manager = self.server.kernel_manager
        environment = {**os.environ, **({"JPY_SESSION_NAME": known["session"]} if known["session"] else {})}
        requests = [(uid, code, metadata) for uid, code, metadata in known.get("requests", [])]
        await manager.start_kernel(
            kernel_id=record.kernel_id, kernel_name=known["kernel_name"], cwd=known["cwd"], env=environment
        )
        kernel = manager.get_kernel(record.kernel_id)
        if requests:
            kernel.execution_state = "busy"
            kernel.unfinished, kernel.unfinished_code = known.get("running") or "", requests[0][1]
            self.requests[record.kernel_id] = requests
        if not kernel.unfinished:
            self._hear(record.kernel_id)

    def _hear(self, kernel_id: str) -> None:
        """Ask for what the kernel has said meanwhile, on the line that watches it."""
        manager = self.server.kernel_manager
        kernel = manager.get_kernel(kernel_id) if kernel_id in manager else None
        stream = getattr(kernel, "_activity_stream", None)
        if stream is not None and not stream.closed():
            stream.socket.subscribe(AGAIN)

    async def take_up_cells(self) -> None:
        """Go on with the cells: open the notebooks in which they stand, and let the server run them."""
        for kernel_id in self.requests:
            while self.stack is not None and (cell := self.stack.first(kernel_id)):
                try:
                    await asyncio.wait_for(self._open(cell), _OPENS_WITHIN_S)
                except Exception as error:
                    self.server.log.warning("the notebook of a cell does not open: %r", error)
                try:
                    self.stack.take_up(kernel_id)
                except Exception as error:
                    self.server.log.warning("a cell of kernel %s is not taken up: %s", kernel_id, error)
            self.server.io_loop.call_later(_ASKS_FOR_THE_REST_AFTER_S, self._hear, kernel_id)

    async def _open(self, cell: Cell) -> None:
        documents = self.server.extension_manager.extension_apps.get("jupyter_server_ydoc")
        _uid, _code, metadata = cell
        if documents and metadata and metadata.get("document_id"):
            await next(iter(documents)).get_document(room_id=metadata["document_id"], copy=False, create=True)


def attach(server: ServerApp) -> Return:
    """Take over what an earlier server left; called before the extensions whose parts it replaces are loaded."""
    back = Return(server)
    server.io_loop.run_sync(back.find_kernels)
    return back
