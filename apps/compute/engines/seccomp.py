"""The system calls that a fenced workload does not get, as a seccomp filter for bubblewrap.

Kept away is what would leave the limits: user namespaces (in one, an unsized tmpfs can be mounted), memory that
belongs to no process (memfd, System V), and kernel parts that a model never needs. A call answers ENOSYS where
libraries then take another way, EPERM otherwise. Format: linux/filter.h, struct sock_filter and seccomp_data.
"""

from __future__ import annotations

import errno
import platform
import struct

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_CLONE_NEWUSER = 0x10000000
_X32_BIT = 0x40000000

_EVERYWHERE = {
    "clone3": 435,
    "io_uring_setup": 425,
    "memfd_secret": 447,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsmount": 432,
    "mount_setattr": 442,
}
_CALLS: dict[str, dict[str, int]] = {
    "x86_64": {
        "clone": 56,
        "unshare": 272,
        "setns": 308,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "memfd_create": 319,
        "shmget": 29,
        "add_key": 248,
        "request_key": 249,
        "keyctl": 250,
        "bpf": 321,
        "perf_event_open": 298,
        "userfaultfd": 323,
        "open_by_handle_at": 304,
    },
    "aarch64": {
        "clone": 220,
        "unshare": 97,
        "setns": 268,
        "mount": 40,
        "umount2": 39,
        "pivot_root": 41,
        "memfd_create": 279,
        "shmget": 194,
        "add_key": 217,
        "request_key": 218,
        "keyctl": 219,
        "bpf": 280,
        "perf_event_open": 241,
        "userfaultfd": 282,
        "open_by_handle_at": 265,
    },
}
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_MISSING = ("clone3", "memfd_create", "memfd_secret", "shmget", "io_uring_setup", "userfaultfd")
_FORBIDDEN = (
    "setns",
    "mount",
    "umount2",
    "pivot_root",
    "open_tree",
    "move_mount",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "add_key",
    "request_key",
    "keyctl",
    "bpf",
    "perf_event_open",
    "open_by_handle_at",
)


def program(machine: str = "") -> bytes:
    """The filter for this kind of machine; empty where there is none."""
    machine = machine or platform.machine()
    if machine not in _CALLS:
        return b""
    calls = {**_EVERYWHERE, **_CALLS[machine]}
    allow, missing, forbidden = _returns(_ALLOW), _returns(errno.ENOSYS), _returns(errno.EPERM)
    steps = [
        _step(_LOAD, _ARCH_AT),
        _step(_JUMP_EQUAL, _ARCHITECTURES[machine], yes=1),
        missing,
        _step(_LOAD, _NUMBER_AT),
    ]
    if machine == "x86_64":
        steps += [_step(_JUMP_AT_LEAST, _X32_BIT, no=1), missing]
    for name in _MISSING:
        steps += [_step(_JUMP_EQUAL, calls[name], no=1), missing]
    for name in _FORBIDDEN:
        steps += [_step(_JUMP_EQUAL, calls[name], no=1), forbidden]
    steps += [
        _step(_JUMP_EQUAL, calls["clone"], yes=2),
        _step(_JUMP_EQUAL, calls["unshare"], yes=1),
        allow,
        _step(_LOAD, _FIRST_ARGUMENT_AT),
        _step(_JUMP_BITS, _CLONE_NEWUSER, no=1),
        forbidden,
        allow,
    ]
    return b"".join(steps)


def _step(code: int, value: int, *, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("<HBBI", code, yes, no, value)


def _returns(what: int) -> bytes:
    return _step(_RETURN, what if what == _ALLOW else _ERRNO | what)
