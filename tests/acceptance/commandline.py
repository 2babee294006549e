"""`edgewright` as a user meets it: a program with arguments, pipes, a terminal and signals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PROGRAM = str(Path(sys.executable).with_name("edgewright"))
PATIENCE = 120.0  # seconds; everything here takes a few, the rest is for a busy machine

Events = list[dict[str, Any]]


@dataclass(frozen=True)
class Ended:
    """A program that has ended. `status` is negative when a signal killed it."""

    status: int
    out: str
    err: str
    seconds: float

    @property
    def events(self) -> Events:
        """Standard output, a JSON document a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def end(self) -> dict[str, Any]:
        """The last event, which must be the end of a turn."""
        last = self.events[-1]
        assert last["type"] == "turn_finished", last
        return last

    def well(self) -> Ended:
        """Itself, after making sure that it went well."""
        assert self.status == 0, f"exit status {self.status}\n{self.out}\n{self.err}"
        return self


class Running:
    """A program that runs, with pipes."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._started = time.monotonic()
        self._seen = b""

    def line_with(self, text: str) -> str:
        """The next line of standard output that has `text` in it."""
        assert self.process.stdout is not None
        deadline = time.monotonic() + PATIENCE
        while True:
            line, newline, rest = self._seen.partition(b"\n")
            if newline:
                self._seen = rest
                if text.encode() in line:
                    return line.decode()
                continue
            more = _read(self.process.stdout.fileno(), deadline)
            assert more, f"it ended without {text!r}: {self._seen!r}"
            self._seen += more

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, stdin: bytes = b"", patience: float = PATIENCE) -> Ended:
        """What is left of the output, and the exit status."""
        try:
            out, err = self.process.communicate(stdin or None, timeout=patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            pytest.fail(f"still running after {patience:g} s:\n{out!r}\n{err!r}")
        seconds = time.monotonic() - self._started
        return Ended(self.process.returncode, (self._seen + out).decode(), err.decode(), seconds)


class Terminal:
    """A program in a terminal of its own, 120 columns wide."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        import fcntl
        import termios

        self._side, theirs = pty.openpty()
        termios.tcsetwinsize(self._side, (40, 120))

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that Ctrl-C becomes a signal

        self.process = subprocess.Popen(
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**env, "TERM": "xterm"},
            cwd=folder,
            start_new_session=True,
            preexec_fn=take_terminal,
        )
        os.close(theirs)
        self.shown = ""

    def until(self, text: str) -> str:
        """What was shown up to `text`, since the last time it was asked."""
        deadline = time.monotonic() + PATIENCE
        while text not in self.shown:
            more = self._more(deadline)
            assert more, f"it ended without showing {text!r}: {self.shown!r}"
            self.shown += more
        before, _, self.shown = self.shown.partition(text)
        return before + text

    def type(self, text: str) -> None:
        os.write(self._side, text.encode())

    def ended(self) -> tuple[int, str]:
        """The exit status, and what was shown last."""
        deadline = time.monotonic() + PATIENCE
        while more := self._more(deadline):
            self.shown += more
        return self.process.wait(PATIENCE), self.shown

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._side)

    def _more(self, deadline: float) -> str:
        return _read(self._side, deadline).decode("utf-8", "replace")


class CommandLine:
    """`edgewright`, with a home and a folder to run in. `prefix` is a command to run it by."""

    def __init__(self, home: Path, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.home = home
        self.folder = folder
        self.prefix = list(prefix)
        self.env = {**os.environ, "EDGEWRIGHT_HOME": str(home)}
        self._opened: list[Running | Terminal] = []

    def by(self, *prefix: str) -> CommandLine:
        """The same, run by another command."""
        other = CommandLine(self.home, self.folder, prefix)
        other.env, other._opened = self.env, self._opened
        return other

    def __call__(self, *arguments: str | bytes, stdin: str | bytes = b"") -> Ended:
        """`edgewright ARGUMENTS`, run to its end."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        return self.start(*arguments).ended(data)

    def start(self, *arguments: str | bytes) -> Running:
        process = subprocess.Popen(
            [*self.prefix, PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.env,
            cwd=self.folder,
        )
        self._opened.append(running := Running(process))
        return running

    def terminal(self, *arguments: str) -> Terminal:
        terminal = Terminal([*self.prefix, PROGRAM, *arguments], self.env, self.folder)
        self._opened.append(terminal)
        return terminal

    def refused(self, code: str, *arguments: str | bytes, stdin: str | bytes = b"") -> str:
        """The message and hint with which `edgewright ARGUMENTS` ends, after making sure that
        it is refused as it should be, for people and in JSON: exit status 1, the stable code,
        the same message, no traceback, and nothing else on standard output but, in JSON, that the
        model was loaded."""
        data = stdin.encode() if isinstance(stdin, str) else stdin
        plain, as_json = self.start(*arguments), self.start(*arguments, "--json")
        people, program = plain.ended(data), as_json.ended(data)
        for ended in (people, program):
            assert ended.status == 1, ended
            assert "Traceback" not in ended.out + ended.err, ended.err
        assert people.out == "", people.out
        assert f"[{code}]" in people.err, people.err
        *before, document = program.events
        assert [event["type"] for event in before] in ([], ["model_loaded"]), before
        assert document["error"]["code"] == code, document
        assert program.err == "", program.err
        for text in (document["error"]["message"], document["error"]["hint"]):
            # The two ran apart, so numbers such as free memory and process ids may differ.
            assert _without_numbers(text) in _without_numbers(people.err), (text, people.err)
        return people.err

    def turns(self, session: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """The session's turns as they are on disk: state, and messages as (role, content)."""
        path = self.home / "sessions.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            turns = db.execute(
                "SELECT id, state FROM turn WHERE session = ? ORDER BY id", [session]
            )
            return [
                (
                    state,
                    db.execute(
                        "SELECT role, content FROM message WHERE turn = ? ORDER BY id", [turn]
                    ).fetchall(),
                )
                for turn, state in turns.fetchall()
            ]

    def states(self, session: str) -> list[str]:
        return [state for state, _ in self.turns(session)]

    def close(self) -> None:
        """Ends what is still running."""
        for opened in self._opened:
            if isinstance(opened, Terminal):
                opened.close()
            elif opened.process.poll() is None:
                opened.process.kill()
                opened.process.communicate()


def split_turns(events: Events) -> list[Events]:
    """The events of several turns, each with its end."""
    turns: list[Events] = [[]]
    for event in events:
        turns[-1].append(event)
        if event["type"] == "turn_finished":
            turns.append([])
    assert turns.pop() == []
    return turns


def text_of(turn: Events) -> str:
    """The text that came in pieces."""
    return "".join(event["text"] for event in turn if event["type"] == "text_delta")


def without_network() -> list[str]:
    """A command that runs another in a network namespace without any interface."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    pytest.fail(
        "Neither `unshare -n` nor `unshare -rn` works here, so offline cannot be proved. "
        "Run the tests as root, or allow user namespaces.",
        pytrace=False,
    )


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of `size` at `folder`. Skips the test where mounting is not permitted."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"mounting is not permitted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _read(descriptor: int, deadline: float) -> bytes:
    left = deadline - time.monotonic()
    assert left > 0 and select.select([descriptor], [], [], left)[0], "nothing more came"
    try:
        return os.read(descriptor, 1 << 16)
    except OSError:  # a terminal that its program has left
        return b""


def _without_numbers(text: str) -> str:
    return "".join(c for c in "".join(text.split()) if not c.isdigit())
