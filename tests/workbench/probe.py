"""Looks for what belongs to another person. Run inside a sandbox, as text, and outside, where all of it is found."""

import os
import socket
from contextlib import suppress
from pathlib import Path


def probe(asked):
    """What of this is reached from here: {kind: [what]}. Files with the `name` in theirs are looked for everywhere."""
    found = {"files": [path for path in asked["files"] if os.path.lexists(path)]}
    found["files"] += _called(asked["name"]) if asked["name"] else ()
    found["processes"] = [pid for pid in asked["processes"] if _is_there(pid)]
    found["sockets"] = [address for address in asked["sockets"] if _answers(address)]
    found["secrets"] = [place for secret in asked["secrets"] for place in _telling(secret.encode())]
    return found


def _called(name):
    """Files and folders with this in their name, wherever somebody could have put them."""
    for where, folders, names in os.walk("/"):
        skipped = ("proc", "sys", "usr", "lib", "lib64") if where == "/" else ("site-packages",)
        folders[:] = [folder for folder in folders if folder not in skipped]
        yield from (str(Path(where, one)) for one in (*names, *folders) if name in one)


def _is_there(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _answers(address):
    with socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET) as line:
        line.settimeout(2)
        with suppress(OSError):
            line.connect(address if isinstance(address, str) else tuple(address))
            return True
    return False


def _telling(secret):
    """Where processes show this in their variables, their words, or what is mounted for them."""
    for process in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline", "mountinfo"):
            with suppress(OSError):
                if secret in (process / name).read_bytes():
                    yield f"{process.name}/{name}"
