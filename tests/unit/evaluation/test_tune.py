"""Measuring engines: what is found, and what becomes of those that fail."""

from __future__ import annotations

import shutil
import threading
import time
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import plugs
from edgewright import Agent, Config
from edgewright.domain.errors import ConfigError, ModelNotPulledError
from edgewright.domain.setup import Setup
from edgewright.engines import present
from edgewright.engines.choice import Failure, Measured, TuneProfile, choose_engine
from edgewright.engines.files import Model, file_for, file_key, make_file
from edgewright.engines.plugins import points
from edgewright.engines.present import (
    Present,
    engine_class,
    machine_key,
    serving,
    standing,
    standings,
)
from edgewright.engines.tuned import load_profile, profile_path, save_profile
from edgewright.evaluation.chart import bars
from edgewright.evaluation.speed import Task, measure
from edgewright.evaluation.tune import chosen, subject, tune
from edgewright.models.gguf import read_header
from edgewright.models.store import Store

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs engines of `plugs`, for this process and its children."""

    def put(*names: str) -> None:
        folder = plugs.install(tmp_path / "plugs", *names)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        points.cache_clear()
        present._is_well.cache_clear()

    yield put
    points.cache_clear()
    present._is_well.cache_clear()


@pytest.fixture
def model(smollm_path: Path) -> Model:
    return Model("tiny", smollm_path)


def test_an_engine_of_known_speed_is_measured_right(install: Install, model: Model) -> None:
    install("steady")
    steps: list[str] = []
    task = Task((1000, 4000), questions=True, together=8)
    seen = measure(
        "steady", Setup("tiny", path=model.path), task, within=60.0, on_step=steps.append
    )
    # A busy machine only makes it slower.
    assert all(5_000 < rate <= 20_500 for rate in seen.prefill.values())
    assert list(seen.prefill) == [1000, 4000]
    assert 50 < seen.decode <= 420
    assert 0.05 <= seen.load < 2.0
    # The question's prompt was read before: only the question itself is new.
    assert seen.question < 0.5 * 512 / seen.prefill[1000]
    assert seen.together > 2 * seen.decode  # they are answered at once
    assert seen.memory > 1_000_000
    assert steps == task.steps()


def test_a_prompt_that_does_not_fit_the_context_is_left_out(install: Install, model: Model) -> None:
    install("steady")
    setup = Setup("tiny", path=model.path, context=2000)
    assert list(measure("steady", setup, Task((500, 1990)), within=60.0).prefill) == [500]


@pytest.mark.slow
def test_the_quicker_engine_is_chosen_and_those_that_fail_are_told_of(
    install: Install, model: Model
) -> None:
    install("steady", "slow", "crashing", "refusing", "empty", "picky")
    names = ("slow", "steady", "crashing", "refusing", "empty", "picky")
    tuned = tune(model, chosen(names))
    profile, failed = tuned.profile, {n: f"{e} {e.hint}" for n, e in tuned.failed.items()}
    assert sorted(tuned.now) == ["slow", "steady"]
    assert sorted(profile.engines) == ["slow", "steady"]
    assert profile.engines["steady"].seconds() < profile.engines["slow"].seconds()
    assert "SIGSEGV" in failed["crashing"]
    assert failed["refusing"] == "the device is gone Plug it in."
    assert "how many tokens" in failed["empty"] or "too short" in failed["empty"]
    assert "does not read" in failed["picky"]
    # Kept is what was tried: with another file `picky` may do well.
    assert sorted(profile.failed) == ["crashing", "empty", "refusing"]
    assert profile.failed["refusing"].why == failed["refusing"]

    name, why = choose_engine("tiny", profile, Present(model))
    assert name == "steady" and "measured on" in why


def test_an_engine_that_hangs_is_ended(install: Install, model: Model) -> None:
    install("hanging")
    began = time.monotonic()
    found: list[TuneProfile] = []
    tuned = tune(model, chosen(["hanging"]), within=2.0, on_found=found.append)
    assert time.monotonic() - began < 30
    assert tuned.profile.engines == {} and tuned.now == ()
    failure = tuned.profile.failed["hanging"]
    assert "took longer than 2 s" in failure.why
    assert (failure.status, failure.file) == ("Hanging 1.0", file_key(model.path))
    assert found == [tuned.profile]  # kept, or agents would hang on it
    assert "took longer than 2 s" in str(tuned.nothing())


def test_an_engine_that_is_not_here_is_told_of_and_nothing_is_learnt_of_it(
    install: Install, model: Model
) -> None:
    install("absent")
    old = Measured(status="1", at="2026-01-01", load=1, prefill={128: 9}, decode=9, question=1)
    before = TuneProfile(model="tiny", machine=machine_key(), engines={"absent": old})
    found: list[TuneProfile] = []
    tuned = tune(model, chosen(["absent", "scripted"]), before, on_found=found.append)
    assert tuned.profile == before and tuned.now == () and found == []
    error = tuned.nothing()
    assert "absent: not installed: absent is not here" in str(error)
    assert "scripted cannot be opened" in str(error)
    assert "pip install 'edgewright[absent]'" in error.hint


@pytest.mark.slow
def test_engines_that_are_not_measured_again_keep_what_is_known(
    install: Install, model: Model
) -> None:
    install("steady", "slow")
    first = tune(model, chosen(["slow"])).profile
    both = tune(model, chosen(["steady"]), first)
    assert both.now == ("steady",)
    assert both.profile.engines["slow"] == first.engines["slow"]
    assert sorted(both.profile.engines) == ["slow", "steady"]


def test_an_engine_that_now_fails_is_no_longer_among_the_measured(
    install: Install, model: Model
) -> None:
    install("refusing")
    old = Measured(
        status="Refusing 1.0", at="2026-01-01", load=1, prefill={128: 9}, decode=9, question=1
    )
    before = TuneProfile(model="tiny", machine=machine_key(), engines={"refusing": old})
    after = tune(model, chosen(["refusing"]), before).profile
    assert after.engines == {} and "the device is gone" in after.failed["refusing"].why


def test_what_is_measured_does_not_outlive_the_file(
    install: Install, model: Model, tmp_path: Path
) -> None:
    install("steady")
    copy = tmp_path / "copy.gguf"
    copy.write_bytes(model.path.read_bytes())
    mine = Model("copy", copy)
    profile = tune(mine, chosen(["steady"])).profile
    assert choose_engine("copy", profile, Present(mine))[0] == "steady"
    with copy.open("ab") as file:
        file.write(b"more")
    assert choose_engine("copy", profile, Present(mine))[0] == "llama_cpp"


def test_a_file_that_an_engine_reads_is_made_once_and_found_again(
    install: Install, home_with_models: Path
) -> None:
    install("choosy")
    small, said = subject("smollm2-135m"), list[str]()
    choosy = engine_class("choosy")
    assert file_for(choosy, small) is None
    assert choose_engine(small.name, None, Present(small))[0] != "choosy"
    made = make_file(choosy, small, Store(), said.append)
    assert said == ["quantizing smollm2-135m to Q4_0"]
    assert "Q4_1" not in read_header(made).tensor_types
    assert file_for(choosy, small) == made == make_file(choosy, small, Store(), said.append)
    assert len(said) == 1
    # An engine that reads the model's own file keeps to that.
    assert file_for(engine_class("llama_cpp"), small) == small.path


@pytest.mark.slow
def test_a_running_server_that_has_the_model_is_found_and_measured(
    install: Install, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("served")
    with serves('{"data": [{"id": "other"}, {"id": "org/Tiny-Instruct"}]}') as address:
        monkeypatch.setenv("SERVED_AT", address)
        assert serving(engine_class("served"), model) == (address, "org/Tiny-Instruct")
        assert Present(model)["served"].serves == address
        # Nobody has measured this plug-in, so nothing is done with it.
        assert choose_engine("tiny", None, Present(model))[0] == "llama_cpp"
        found = tune(model, chosen(["served"])).profile.engines["served"]
        assert found.file == "" and found.memory is None and found.decode > 50
    # Gone, silent or talking nonsense, it serves nothing, and nobody waits for it.
    began = time.monotonic()
    assert serving(engine_class("served"), model) is None
    for nonsense in ("[]", "<html>", '{"data": [{"id": "other"}]}', None):
        with serves(nonsense) as address:
            monkeypatch.setenv("SERVED_AT", address)
            assert serving(engine_class("served"), model) is None
    assert time.monotonic() - began < 10
    tuned = tune(model, chosen(["served"]))
    assert tuned.now == () and tuned.profile.engines == tuned.profile.failed == {}
    assert "No served server that runs here has tiny" in str(tuned.failed["served"])


@contextmanager
def serves(models: str | None) -> Iterator[str]:
    """A server whose list of models is that; None: it accepts and never answers."""
    gone = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if models is None:
                gone.wait(20)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(models)))
            self.end_headers()
            self.wfile.write(models.encode() if self.path == "/v1/models" else b"")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        gone.set()
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_profile_is_kept_and_is_for_this_machine_only(own_home: Path) -> None:
    one = Measured(status="x", at="2026-01-01", load=1, prefill={128: 9}, decode=9, question=1)
    no = Failure(status="x", file="f", why="no")
    profile = TuneProfile(model="a/b", machine="here", engines={"x": one}, failed={"y": no})
    path = save_profile(profile)
    assert path.parent == own_home / "tune"
    assert load_profile("a/b", "here") == profile
    assert load_profile("a/b", "another") is None
    assert load_profile("c", "here") is None


@pytest.mark.parametrize("damage", ["", "{", '{"version": 2}', "[" * 100_000, "x" * 2_000_000])
def test_a_damaged_profile_is_set_aside(damage: str) -> None:
    path = profile_path("a")
    path.parent.mkdir(parents=True)
    path.write_text(damage)
    assert load_profile("a", "here") is None
    assert not path.exists() and path.with_suffix(".damaged").exists()


@pytest.mark.parametrize("value", ["0", "-3", "NaN", "1e999"])
def test_a_profile_with_speeds_that_cannot_be_is_not_believed(value: str) -> None:
    one = Measured(status="x", at="2026-01-01", load=1, prefill={128: 9}, decode=7, question=1)
    path = save_profile(TuneProfile(model="a", machine="here", engines={"x": one}))
    path.write_text(path.read_text().replace("7.0", value))
    assert load_profile("a", "here") is None


def test_each_engine_says_how_it_stands_and_none_can_hold_the_others_up(
    install: Install,
) -> None:
    install("steady", "absent", "stuck")
    began = time.monotonic()
    found = {one.name: one for one in standings(within=5.0)}
    assert time.monotonic() - began < 30
    assert found["steady"].works and found["steady"].detail == "Steady 1.0"
    assert found["absent"].state == "not installed"
    assert found["absent"].hint == "pip install 'edgewright[absent]'"
    assert found["stuck"].state == "does not work" and "longer than 5 s" in found["stuck"].detail
    assert found["llama_cpp"].works and "xllamacpp" in found["llama_cpp"].detail


def test_an_engine_that_leaves_a_line_unfinished_is_understood(
    install: Install, tmp_path: Path
) -> None:
    """As progress bars do."""
    install("steady")
    with (tmp_path / "plugs" / "plugs_for_tests.py").open("a") as file:
        file.write("\nprint('Loading... 7 %', end='', flush=True)\n")
    assert standing("steady").detail == "Steady 1.0"


def test_an_engine_whose_import_ends_the_process_is_told_of(
    install: Install, tmp_path: Path
) -> None:
    install("steady")
    (tmp_path / "plugs" / "plugs_for_tests.py").write_text("import os; os.abort()")
    found = standing("steady")
    assert found.state == "does not work" and "SIGABRT" in found.detail


def test_an_engine_without_packages_for_this_system_says_so(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("absent")
    monkeypatch.setattr(present.platform, "system", lambda: "Windows")
    monkeypatch.setattr("edgewright.engines.choice.SYSTEMS", {"absent": ("Linux",)})
    found = standing("absent")
    assert found.state == "cannot run here"
    assert "for Linux" in found.detail and "this is Windows" in found.detail


def test_what_cannot_be_measured_is_refused(home_with_models: Path) -> None:
    with pytest.raises(ConfigError, match="cannot chat"):
        subject("all-minilm-l6-v2")
    with pytest.raises(ModelNotPulledError, match="not on this machine"):
        subject("phi-4")
    with pytest.raises(ConfigError, match="no engine 'lama_cpp'"):
        chosen(["lama_cpp"])
    assert [one.name for one in chosen([]) if one.name in ("scripted", "openai")] == []


def test_a_file_is_measured_by_the_name_that_agents_have_for_it(
    home_with_models: Path, smollm_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(smollm_path, tmp_path / folder / "smollm2-135m.gguf")
    monkeypatch.chdir(tmp_path / "one")
    mine = subject("smollm2-135m.gguf")
    agent = Agent(Config(model_id="./smollm2-135m.gguf"))
    assert agent.model == mine.name
    agent.close()
    names = [mine.name, subject("../other/smollm2-135m.gguf").name, "smollm2-135m"]
    assert len({profile_path(name) for name in names}) == 3  # each has a profile of its own


def test_a_file_and_a_folder_are_told_from_what_they_become(tmp_path: Path) -> None:
    file, folder = tmp_path / "a.gguf", tmp_path / "folder"
    file.write_bytes(b"1")
    folder.mkdir()
    (folder / "weights").write_bytes(b"1")
    before = file_key(file), file_key(folder)
    assert before == (file_key(file), file_key(folder))
    file.write_bytes(b"12")
    (folder / "weights").write_bytes(b"12")
    assert file_key(file) != before[0] and file_key(folder) != before[1]


def test_the_chart_is_a_picture_with_a_bar_for_each_in_proportion() -> None:
    drawn = xml.fromstring(bars('a <"b"> & c', [("one & only", 2.0, "2 s"), ("two", 1.0, "1 s")]))
    widths = [float(e.get("width", "0")) for e in drawn.iter("{http://www.w3.org/2000/svg}rect")]
    texts = [e.text for e in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert widths == [420.0, 210.0]
    assert texts == ['a <"b"> & c', "one & only", "2 s", "two", "1 s"]
