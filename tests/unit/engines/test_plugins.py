"""Engines of third parties, by entry point: the good ones, and what becomes of all others."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import plugs
from edgewright import Agent, Config, EngineSwitched
from edgewright.domain.engine import Request
from edgewright.domain.errors import EngineError, EngineUnavailableError, ModelNotPulledError
from edgewright.domain.setup import Setup
from edgewright.engines import present
from edgewright.engines.choice import Measured, TuneProfile, choose_engine
from edgewright.engines.files import Model, file_key
from edgewright.engines.plugins import load, points
from edgewright.engines.present import Present, machine_key

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs an engine: one of `plugs`, or with `source` the class Engine of that."""

    def put(name: str, source: str = "") -> None:
        folder = tmp_path / name
        plugs.install_module(folder, name, source) if source else plugs.install(folder, name)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        forget()

    def forget() -> None:
        points.cache_clear()
        present._is_well.cache_clear()
        for module in [name for name in sys.modules if name.endswith(("_plug", "plugs_for_tests"))]:
            del sys.modules[module]

    yield put
    forget()


@pytest.fixture
def model(smollm_path: Path) -> Model:
    return Model("tiny", smollm_path)


def measured(model: Model, *names: str) -> TuneProfile:
    """A profile of engines that were quick, each of which said of itself what Steady does."""
    one = Measured(
        status="Engine 1.0",
        file=file_key(model.path),
        at="2026-01-01",
        load=1,
        prefill={128: 900},
        decode=90,
        question=0.1,
    )
    return TuneProfile(model=model.name, machine=machine_key(), engines=dict.fromkeys(names, one))


OPENS = "class Engine(Steady):\n    @classmethod\n    def open(cls, setup):\n        "
SAYS = "class Engine(Steady):\n    async def generate(self, request):\n        "


def test_a_plug_in_is_an_engine_but_not_in_place_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plugs.install(tmp_path, "steady", "llama_cpp")
    monkeypatch.syspath_prepend(str(folder))
    points.cache_clear()
    try:
        found = points()
        assert found["steady"].load().status() == "Steady 1.0"
        assert found["llama_cpp"].value == "edgewright.engines.llama_cpp:LlamaCppEngine"
    finally:
        points.cache_clear()


# On auto


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.exit(3)",
        "import os; os._exit(3)",
        "import time; time.sleep(600)",
        "raise RuntimeError('no device')",
    ],
)
def test_a_plug_in_that_nobody_measured_is_not_even_imported(
    install: Install, model: Model, source: str, tmp_path: Path
) -> None:
    install("bad", f"open({str(tmp_path / 'imported')!r}, 'w').close()\n{source}")
    began = time.monotonic()
    assert choose_engine("tiny", None, Present(model))[0] == "llama_cpp"
    assert choose_engine("tiny", measured(model), Present(model))[0] == "llama_cpp"
    assert "bad" not in list(Present(model))
    assert time.monotonic() - began < 5
    assert not (tmp_path / "imported").exists()


def test_a_plug_in_that_was_measured_is_chosen(install: Install, model: Model) -> None:
    install("good", "class Engine(Steady):\n    name = 'good'")
    assert choose_engine("tiny", measured(model, "good"), Present(model))[0] == "good"


@pytest.mark.parametrize(
    "source", ["import sys; sys.exit(3)", "import os; os._exit(3)", "import time; time.sleep(600)"]
)
def test_one_that_was_measured_and_became_bad_is_left_out_and_asked_once(
    install: Install, model: Model, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(present, "SOON", 4.0)
    install("bad", f"print('!', file=open({str(tmp_path / 'asked')!r}, 'a'))\n{source}")
    began = time.monotonic()
    for _ in range(3):
        assert choose_engine("tiny", measured(model, "bad"), Present(model))[0] == "llama_cpp"
    assert time.monotonic() - began < 15
    assert (tmp_path / "asked").read_text() == "!\n"


def test_one_that_fails_only_here_is_left_out(install: Install, model: Model) -> None:
    """In the process that asks first, it is well."""
    here = f"import os, sys\nif os.getpid() == {os.getpid()}:\n    sys.exit(3)\n"
    install("bad", f"{here}class Engine(Steady): pass")
    assert present.standing("bad").works
    assert choose_engine("tiny", measured(model, "bad"), Present(model))[0] == "llama_cpp"


# What they raise


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('no device')", "RuntimeError: no device"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import nowhere", "No module named 'nowhere'"),
        ("Engines = 1", "has no attribute 'Engine'"),
        ("class Engine: pass", "bad_plug:Engine is no engine: it has no open, formats"),
    ],
)
def test_one_that_cannot_be_loaded_is_told_with_its_package(
    install: Install, source: str, says: str
) -> None:
    install("bad", source)
    with pytest.raises(EngineUnavailableError) as caught:
        load("bad")
    assert str(caught.value).startswith("The engine bad cannot be loaded: ")
    assert says in str(caught.value)
    assert "bad-plug" in caught.value.hint and "doctor" in caught.value.hint
    # An agent on nothing else is told so at once; with others in line it goes on with these.
    with pytest.raises(EngineUnavailableError, match="cannot be loaded"):
        Agent(Config(model_provider="bad"))


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("raise RuntimeError('no device')", "RuntimeError: no device"),
        ("raise KeyError", "KeyError"),
        ("import sys; sys.exit('gone')", "SystemExit: gone"),
        ("pass", "its open() gave no engine: NoneType has no name, model"),
        ("return Chunk('x')", "its open() gave no engine: Chunk has no name, model"),
    ],
)
def test_what_open_raises_or_gives_is_told(install: Install, does: str, says: str) -> None:
    install("bad", f"{OPENS}{does}")
    with pytest.raises(EngineError) as caught:
        load("bad").open(Setup("m"))
    assert str(caught.value).startswith("The engine bad failed: ")
    assert says in str(caught.value) and "bad-plug" in caught.value.hint


def test_an_error_of_ours_is_left_as_it_is(install: Install) -> None:
    error = "from edgewright.domain.errors import ModelNotPulledError as E; raise E('x', hint='y')"
    install("bad", f"{OPENS}{error}")
    with pytest.raises(ModelNotPulledError) as caught:
        load("bad").open(Setup("m"))
    assert (str(caught.value), caught.value.hint) == ("x", "y")


def test_a_signal_that_ends_the_process_while_it_opens_is_obeyed(install: Install) -> None:
    install("bad", f"{OPENS}raise SystemExit({128 + signal.SIGTERM})")
    with pytest.raises(SystemExit) as ended:
        load("bad").open(Setup("m"))
    assert ended.value.code == 143


@pytest.mark.parametrize(
    ("does", "says"),
    [
        ("yield Chunk('On'); raise RuntimeError('the device is gone')", "the device is gone"),
        ("yield Chunk('On'); raise SystemExit", "SystemExit"),
        ("yield 'text'", "it gave str in place of a Chunk"),
        ("return [Chunk('x')]", "generate() gave no generator: list"),
    ],
)
@pytest.mark.anyio
async def test_what_goes_wrong_in_an_answer_is_told(install: Install, does: str, says: str) -> None:
    source = f"{SAYS}{does}"
    install("bad", source.replace("async def", "def") if "return" in does else source)
    engine = load("bad").open(Setup("m"))
    with pytest.raises(EngineError, match="The engine bad failed: ") as caught:
        async for _ in engine.generate(Request([])):
            pass
    assert says in str(caught.value)
    with pytest.raises(EngineError, match=r"The engine bad failed: .*count_tokens"):
        await engine.count_tokens([])


@pytest.mark.anyio
async def test_leaving_an_answer_early_ends_it_there(install: Install, tmp_path: Path) -> None:
    left = tmp_path / "left"
    forever = "try:\n            while True: yield Chunk('x')\n        finally:\n            "
    install("good", f"{SAYS}{forever}open({str(left)!r}, 'w').close()")
    answer = load("good").open(Setup("m")).generate(Request([]))
    assert (await anext(answer)).text == "x"
    await answer.aclose()
    assert left.exists()


@pytest.mark.parametrize(
    "source",
    [
        "raise RuntimeError('no device')",
        "Engines = 1",
        f"{OPENS}raise RuntimeError('no device')",
        f"{OPENS}import sys; sys.exit(3)",
        f"{OPENS}pass",
        f"{SAYS}yield Chunk('On'); raise RuntimeError('no device')",
        f"{SAYS}yield 'text'",
    ],
)
@pytest.mark.parametrize("server", [False, True])
def test_whatever_it_does_the_next_in_line_goes_on(
    install: Install, endpoint: Any, home_with_models: Path, source: str, server: bool
) -> None:
    is_server = "\n    formats = ()" if server and "class" in source else ""
    install("bad", f"{source}{is_server}")
    endpoint.answers = [endpoint.says("From the other.")]
    config = Config(
        model_provider="bad",
        endpoint="http://127.0.0.1:9/v1" if server else None,
        model_alias="smollm2-135m",
        fallbacks=(Config(endpoint=endpoint.url, model_id="large"),),
    )
    *events, end = Agent(config).stream("Hello")
    assert end.text == "From the other."
    (switched,) = [event for event in events if isinstance(event, EngineSwitched)]
    assert switched.failed_engine in ("bad", "steady") and switched.model == "large"
    assert switched.reason.startswith("The engine bad ")


def test_a_server_that_never_opens_holds_nobody_up_for_good(
    install: Install, endpoint: Any
) -> None:
    install("bad", f"{OPENS}time.sleep(600)\n    formats = ()")
    endpoint.answers = [endpoint.says("From the other.")]
    fallback = Config(endpoint=endpoint.url, model_id="large")
    began = time.monotonic()
    events = list(
        Agent(Config(model_provider="bad", timeout=1, fallbacks=(fallback,))).stream("Hi")
    )
    assert time.monotonic() - began < 20
    (switched,) = [event for event in events if isinstance(event, EngineSwitched)]
    assert switched.reason == "bad was not ready for default after 5.5 s."
