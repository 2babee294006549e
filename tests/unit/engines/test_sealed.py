"""Threads without a network."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

import pytest

from edgewright.engines.processes.sealed import can_seal, sealed_threads

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux seals threads")


def test_this_machine_can_seal_threads() -> None:
    assert can_seal()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_sealed_thread_and_what_it_starts_get_no_socket_of_the_internet(
    family: socket.AddressFamily, kind: socket.SocketKind
) -> None:
    refused: list[str] = []

    def attempt() -> None:
        try:
            socket.socket(family, kind).close()
        except PermissionError as error:
            refused.append(str(error))

    def attempt_here_and_there() -> None:
        attempt()
        child = threading.Thread(target=attempt)
        child.start()
        child.join()
        program = f"import socket; socket.socket({int(family)}, {int(kind)})"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
        if b"PermissionError" in done.stderr:
            refused.append("in a process")

    with sealed_threads(1, "sealed") as threads:
        threads.submit(attempt_here_and_there).result()
    assert len(refused) == 3
    socket.socket(family, kind).close()  # here, it is as before


def test_a_sealed_thread_has_all_else() -> None:
    def work() -> bytes:
        here, there = socket.socketpair()
        with here, there:
            here.sendall(b"hello")
            return there.recv(5)

    with sealed_threads(1, "sealed") as threads:
        assert threads.submit(work).result() == b"hello"
