"""Threads that cannot reach a network: for native libraries that would send something home.

The egress guard sees Python's sockets only. Here the kernel itself refuses these threads, and all
that they start, a socket of the internet: a seccomp filter, which needs no privileges, holds for
the thread that asks for it, and cannot be taken off again. The process's other threads go on.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from ...domain.errors import EngineUnavailableError

_NR_SOCKET = {"x86_64": 41, "aarch64": 198}  # the system call, by machine
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}  # AUDIT_ARCH_*
_IO_URING_SETUP = 425  # the same everywhere: the other way to a socket
_AF_INET, _AF_INET6 = 2, 10
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def sealed_threads(count: int, name: str) -> ThreadPoolExecutor:
    """An executor of up to `count` threads that are sealed where `can_seal()`, else plain ones."""
    start = _seal if can_seal() else None
    return ThreadPoolExecutor(count, thread_name_prefix=name, initializer=start)


@cache
def can_seal() -> bool:
    """Whether this system can do it: Linux, unless its kernel was built without."""
    if sys.platform != "linux" or platform.machine() not in _NR_SOCKET:
        return False
    worked: list[bool] = []

    def attempt() -> None:
        try:
            _seal()
        except EngineUnavailableError:
            return
        worked.append(True)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return bool(worked)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _seal() -> None:
    """Seals the running thread. Raises EngineUnavailableError when the kernel will not."""
    machine = platform.machine()
    # Of what the kernel lays out: the call's number at 0, its architecture at 4, and at 16 its
    # first argument. The two numbers of a jump are how many lines it skips: if equal, and if not.
    lines = (
        (_LOAD, 0, 0, 4),
        (_EQUAL, 0, 7, _ARCH[machine]),  # a call of another kind, such as 32 bits: refused
        (_LOAD, 0, 0, 0),
        (_EQUAL, 5, 0, _IO_URING_SETUP),
        (_EQUAL, 0, 3, _NR_SOCKET[machine]),
        (_LOAD, 0, 0, 16),
        (_EQUAL, 2, 0, _AF_INET),
        (_EQUAL, 1, 0, _AF_INET6),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    )
    code = b"".join(struct.pack("=HBBI", *line) for line in lines)
    held = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(lines), ctypes.addressof(held))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    zero = ctypes.c_ulong(0)
    if (
        prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) != 0
        or prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program), zero, zero)
        != 0
    ):
        raise EngineUnavailableError("This system cannot keep a thread from the network.")
