"""How the command line ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading

import pytest

from edgewright.cli import app, main


def test_ctrl_c_inside_of_pythons_own_locks_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        lock = threading.Lock()
        with lock:
            lock.release()  # as Condition.wait does, and takes it again a moment too late
            raise KeyboardInterrupt

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(app, "app", interrupted)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130


def test_another_error_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(app, "app", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        main()


def test_it_runs_as_a_module_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgewright", "--help"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0
    assert "python -m edgewright" in done.stdout
