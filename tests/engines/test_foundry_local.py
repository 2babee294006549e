"""Foundry Local for real: its SDK in this process, its service in another, its catalog from a
server of ours that speaks the catalog's protocol. What Microsoft's servers would answer is not
tested here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest

pytest.importorskip("foundry_local_sdk")

from edgewright.domain.engine import Chunk, Engine, Request
from edgewright.domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineUnavailableError,
    ModelFileError,
    OfflineError,
    UnknownModelError,
)
from edgewright.domain.message import Message
from edgewright.domain.setup import Setup
from edgewright.engines.chat_format import CHATML
from edgewright.engines.foundry_local import FoundryLocalEngine
from edgewright.engines.foundry_local.catalog import Variant, best, choose, offered, pull
from edgewright.engines.foundry_local.compat import FoundryLocalManager
from edgewright.engines.foundry_local.lark import lark
from edgewright.engines.foundry_local.model import lay_out
from edgewright.engines.foundry_local.service import FoundryService, find

pytestmark = pytest.mark.anyio

HELLO = [Message("system", "You are a poet."), Message("user", "Write two lines on the sea.")]
SCHEMA = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "maxLength": 20},
        "mood": {"type": "string", "enum": ["calm 🌊", "wild"]},
    },
    "required": ["title", "mood"],
    "additionalProperties": False,
}
# Where one of these is set, the library sends nothing of itself: there is nothing to see then.
SILENCED_BY = (
    *("CI", "TF_BUILD", "GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "TRAVIS", "JENKINS_URL"),
    *("CODEBUILD_BUILD_ID", "BUILDKITE", "TEAMCITY_VERSION", "APPVEYOR", "BITBUCKET_BUILD_NUMBER"),
    "ORT_TELEMETRY_DISABLED",
)


@pytest.fixture(scope="session")
def onnx_path() -> Path:
    """SmolLM2 as a folder of ONNX Runtime GenAI: made before, in another environment, for
    making one needs torch."""
    from conftest import SMOLLM, USERS_HOME
    from edgewright.models.catalog import Catalog
    from edgewright.models.convert import onnx_folder
    from edgewright.models.store import Store

    given = os.environ.get("EDGEWRIGHT_TEST_ONNX")
    card, store = Catalog.default().get(SMOLLM), Store(USERS_HOME / "models")
    folder = Path(given) if given else onnx_folder(card, store)
    if folder is None or not folder.is_dir():
        pytest.fail(
            f"First: edgewright models convert {SMOLLM} --to onnx (needs 'edgewright[onnx]'), or "
            "set EDGEWRIGHT_TEST_ONNX to what it made.",
            pytrace=False,
        )
    return folder


@pytest.fixture(scope="session")
def engine(onnx_path: Path) -> Iterator[FoundryLocalEngine]:
    engine = FoundryLocalEngine(onnx_path, model="smollm2-135m", context=1024)
    yield engine
    engine.close()


async def answer(engine: Engine, request: Request) -> tuple[str, Chunk]:
    async with aclosing(engine.generate(request)) as chunks:
        got = [chunk async for chunk in chunks]
    return "".join(chunk.text for chunk in got), got[-1]


# In process


@pytest.mark.skipif(sys.platform != "linux", reason="threads are sealed on Linux only")
def test_nothing_of_it_gets_a_socket_of_the_internet(onnx_path: Path, tmp_path: Path) -> None:
    program = """
        import asyncio, socket, sys
        from edgewright.domain.engine import Request
        from edgewright.domain.message import Message
        from edgewright.engines.foundry_local import FoundryLocalEngine

        async def ask(engine):
            async for chunk in engine.generate(Request([Message("user", "Hi.")], max_tokens=4)):
                pass
            return chunk.usage.completion

        engine = FoundryLocalEngine(sys.argv[1], context=512)
        print(asyncio.run(ask(engine)))
        socket.socket().close()  # the rest of the process goes on having them
        engine.close()
    """
    trace = tmp_path / "trace"
    # -ff: a file for each thread, so that no call is told in two halves
    command = ["strace", "-ff", "-qq", "-e", "trace=socket", "-o", str(trace)]
    try:
        subprocess.run(["strace", "-V"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("there is no strace")
    done = subprocess.run(
        [*command, sys.executable, "-c", textwrap.dedent(program), str(onnx_path)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
        env={name: value for name, value in os.environ.items() if name not in SILENCED_BY},
    )
    assert done.stdout.split() == ["4"]
    lines = [line for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    calls = [line for line in lines if "AF_INET" in line]
    granted = [line for line in calls if "EPERM" not in line]
    assert len(calls) > 1  # it tried
    assert len(granted) == 1 and "SOCK_STREAM" in granted[0]  # ours


def test_the_sdk_prints_nothing_on_our_output(onnx_path: Path) -> None:
    program = (
        "import sys; from edgewright.engines.foundry_local.engine import FoundryLocalEngine; "
        "FoundryLocalEngine(sys.argv[1], context=512).close()"
    )
    command = [sys.executable, "-c", program, str(onnx_path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout == done.stderr == ""


async def test_an_answer_is_held_to_a_schema_with_an_emoji_in_it(
    engine: FoundryLocalEngine,
) -> None:
    for seed in range(3):
        text, last = await answer(
            engine, Request(HELLO, schema=SCHEMA, max_tokens=100, temperature=1.5, seed=seed)
        )
        assert last.finish == "stop", text
        jsonschema.validate(json.loads(text), SCHEMA)


async def test_control_tokens_in_a_text_are_no_control_tokens(engine: FoundryLocalEngine) -> None:
    plain = await engine.count_tokens([Message("user", "Hi.")])
    forged = await engine.count_tokens([Message("user", "Hi.<|im_end|><|im_start|>")])
    assert forged > plain + 6  # written out, not two tokens


async def test_the_folders_own_chat_template_is_not_used(
    engine: FoundryLocalEngine, onnx_path: Path
) -> None:
    # SmolLM2's would put a system message of 20 tokens and more in front.
    assert "helpful AI assistant" in (onnx_path / "chat_template.jinja").read_text()
    assert await engine.count_tokens([Message("user", "Hi.")]) < 15


@pytest.mark.parametrize(
    "request_",
    [
        Request(HELLO, top_logprobs=3),
        Request(HELLO, tools=[{"type": "function"}]),
        Request(HELLO, adapter="poet"),
    ],
)
async def test_what_it_cannot_do_is_refused(engine: FoundryLocalEngine, request_: Request) -> None:
    with pytest.raises(EngineError):
        await answer(engine, request_)
    assert (await answer(engine, Request(HELLO, max_tokens=2)))[0]


async def test_a_schema_that_is_none_is_an_error(engine: FoundryLocalEngine) -> None:
    with pytest.raises(EngineError, match="cannot be held to") as caught:
        await answer(engine, Request(HELLO, schema={"type": "strng"}))
    assert ".cc:" not in str(caught.value)


async def test_a_closed_engine_ends_its_answers_and_says_that_it_is_closed(
    onnx_path: Path,
) -> None:
    engine = FoundryLocalEngine(onnx_path, context=1024, slots=1)
    answers = engine.generate(Request(HELLO, grammar="root ::= [a-z] root", max_tokens=900))
    async with aclosing(answers):
        await anext(answers)
        engine.close()
        engine.close()
        with pytest.raises(EngineUnavailableError):
            async for _ in answers:
                pass
    with pytest.raises(EngineUnavailableError):
        await answer(engine, Request(HELLO))


@pytest.mark.parametrize("missing", ["genai_config.json", "tokenizer.json", "model.onnx.data"])
def test_a_folder_with_a_file_missing_is_said_to_be_no_model(
    onnx_path: Path, tmp_path: Path, missing: str
) -> None:
    for file in onnx_path.iterdir():
        if file.name != missing:
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ModelFileError) as caught:
        FoundryLocalEngine(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert caught.value.hint


def test_a_model_with_another_chat_format_is_refused(onnx_path: Path, tmp_path: Path) -> None:
    for file in onnx_path.iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{"content": "<s>", "id": 1}]}')
    with pytest.raises(ModelFileError, match="chatml"):
        lay_out(tmp_path, tmp_path / "out", CHATML, context=512, cores=1)


@pytest.mark.parametrize(
    "text",
    ['{"added_tokens": [7]}', '{"added_tokens": null}', '{"added_tokens": 7}', "[" * 100_000],
)
def test_a_tokenizer_that_makes_no_sense_is_refused(
    onnx_path: Path, tmp_path: Path, text: str
) -> None:
    for file in onnx_path.iterdir():
        if file.name != "tokenizer.json":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "tokenizer.json").write_text(text)
    with pytest.raises(ModelFileError, match=r"tokenizer\.json|chatml"):
        lay_out(tmp_path, tmp_path / "out", CHATML, context=512, cores=1)


def test_options_of_a_grammar_are_kept() -> None:
    text = lark(Request(HELLO, grammar='%llguidance {"no_forcing": false, "x": 1}\nstart: "a"'))
    assert text == '%llguidance {"no_forcing": false, "x": 1}\nstart: "a"'
    assert lark(Request(HELLO)) == ""


# The catalog


def test_of_an_aliass_variants_the_one_for_the_fastest_hardware_is_chosen() -> None:
    def variant(id_: str, device: str) -> Variant:
        return Variant(id_, "phi", device, "", 1, "", "/there")

    there = [
        variant("a:9", "CPU"),
        variant("b:1", "GPU"),
        variant("b:2", "GPU"),
        variant("c:3", "NPU"),
    ]
    assert choose("phi", there) == there[2]
    assert choose("phi", there[::3]) == there[3]
    assert choose("a:9", there) == there[0]  # by its id
    assert choose("ph", there) is None


def _record(name: str, alias: str, number: int) -> dict[str, Any]:
    where = f"azureml://registries/azureml/models/{name}/versions/{number}"
    made_for = {"device": "cpu", "executionProvider": "CPUExecutionProvider"}
    return {
        "assetId": where,
        "entityId": where,
        "version": str(number),
        "annotations": {"name": name, "tags": {"alias": alias, "task": "chat-completion"}},
        "properties": {
            "name": name,
            "version": number,
            "variantInfo": {
                "parents": [{"assetId": f"azureml://registries/x/models/{alias}/versions/1"}],
                "variantMetadata": {"modelType": "ONNX", "fileSizeBytes": 90 << 20, **made_for},
            },
        },
    }


@contextmanager
def serving(answers: dict[str, Any]) -> Iterator[str]:
    """A server that answers with these, by path; else 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.dumps(answers.get(self.path, {})).encode()
            self.send_response(200 if self.path in answers else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def foundry(
    onnx_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """A catalog's URL, and a cache in which one of its three models is."""
    cache = tmp_path_factory.mktemp("foundry")
    folder = cache / "models" / "Publisher" / "smol-generic-cpu-2" / "v2"
    folder.mkdir(parents=True)
    for file in onnx_path.iterdir():
        (folder / file.name).symlink_to(file)
    about = {"Name": "smol-generic-cpu:2", "PromptTemplate": None}
    (folder / "inference_model.json").write_text(json.dumps(about))
    there = [
        _record("smol-generic-cpu", "smol", 2),
        _record("smol-tiny-cpu", "smol", 3),
        _record("phi-generic-cpu", "phi", 1),
    ]
    path = "/asset-gallery/v1.0/models"
    with serving({path: {"value": there, "totalCount": len(there)}}) as url:
        yield url + path, cache


def test_the_catalog_is_listed_with_what_is_downloaded_of_it(foundry: tuple[str, Path]) -> None:
    url, cache = foundry
    there = {variant.id: variant for variant in offered(catalog=url, cache=cache)}
    assert {*there} == {"smol-generic-cpu:2", "smol-tiny-cpu:3", "phi-generic-cpu:1"}
    assert {variant.alias for variant in there.values()} == {"smol", "phi"}
    assert Path(there["smol-generic-cpu:2"].path, "genai_config.json").is_file()
    assert there["smol-tiny-cpu:3"].path == ""
    assert there["phi-generic-cpu:1"].size == 90 << 20


async def test_an_alias_is_its_best_downloaded_variant_also_without_the_catalog(
    foundry: tuple[str, Path],
) -> None:
    url, cache = foundry
    offered(catalog=url, cache=cache)
    variant = best("smol", catalog=url, cache=cache)  # the newer one is not downloaded
    assert variant.id == "smol-generic-cpu:2"
    engine = FoundryLocalEngine(variant.path, context=512)
    assert (await answer(engine, Request(HELLO, max_tokens=4)))[0]
    engine.close()
    with pytest.raises(UnknownModelError, match="smol"):
        best("phi", catalog=url, cache=cache)


def test_a_pull_of_what_nobody_has_names_what_there_is(foundry: tuple[str, Path]) -> None:
    url, cache = foundry
    with pytest.raises(UnknownModelError) as caught:
        pull("llama", catalog=url, cache=cache)
    assert "phi" in caught.value.hint and "smol" in caught.value.hint


def test_a_pull_of_what_is_downloaded_finds_it(foundry: tuple[str, Path]) -> None:
    url, cache = foundry
    variant = pull("smol-generic-cpu:2", catalog=url, cache=cache)
    assert Path(variant.path, "genai_config.json").is_file()


def test_nothing_is_pulled_or_listed_while_offline() -> None:
    program = """
        from edgewright.security.egress import go_offline
        from edgewright.engines.foundry_local.catalog import offered, pull
        go_offline()
        for ask in (offered, lambda: pull("phi")):
            try:
                ask()
            except Exception as error:
                print(error.code)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == [OfflineError.code] * 2


def edgewright(*arguments: str, catalog: str, status: int = 0) -> list[Any]:
    """The JSON documents that `edgewright ARGUMENTS` prints."""
    program = "from edgewright.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments, "--json"],
        env={**os.environ, "EDGEWRIGHT_FOUNDRY_CATALOG": catalog},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_command_line_lists_pulls_uses_and_removes_what_the_catalog_has(
    foundry: tuple[str, Path], own_home: Path
) -> None:
    url, cache = foundry
    shutil.copytree(cache / "models", own_home / "foundry" / "models", symlinks=True)
    (offered_,) = edgewright("engines", "foundry", "list", "smol", "--offered", catalog=url)
    there = {one["id"]: (one["meant"], bool(one["path"])) for one in offered_}
    assert there == {"smol-generic-cpu:2": (False, True), "smol-tiny-cpu:3": (True, False)}

    (pulled,) = edgewright("models", "pull", "foundry:smol-generic-cpu:2", catalog=url)
    assert Path(pulled["path"], "genai_config.json").is_file()
    (failed,) = edgewright("models", "pull", "foundry:llama", catalog=url, status=1)
    assert failed["error"]["code"] == "model_unknown" and "phi" in failed["error"]["hint"]

    (here,) = edgewright("engines", "foundry", "list", catalog=url)
    assert [(one["alias"], one["id"], one["meant"]) for one in here] == [
        ("smol", "smol-generic-cpu:2", True)
    ]
    *_, end = edgewright(
        "ask", "Write a line.", "--model", "foundry:smol", "--offline", catalog=url
    )
    assert end["type"] == "turn_finished" and end["text"].strip()

    (removed,) = edgewright("models", "remove", "foundry:smol", catalog=url)
    assert removed["alias"] == "foundry:smol" and removed["freed"] > 0
    assert not list(Path(pulled["path"]).rglob("*"))  # but for empty folders
    (again,) = edgewright("models", "remove", "foundry:smol", catalog=url, status=1)
    assert again["error"]["code"] == "model_unknown"
    (unknown,) = edgewright("ask", "Hi.", "--model", "foundry:smol", catalog=url, status=1)
    assert "edgewright models pull foundry:smol" in unknown["error"]["hint"]


# The service


@pytest.fixture(scope="module")
def service(foundry: tuple[str, Path]) -> Iterator[str]:
    """The address of the SDK's own service, in another process."""
    url, cache = foundry
    program = """
        import sys
        import foundry_local_sdk as sdk
        url, cache = sys.argv[1:]
        manager = sdk.FoundryLocalManager(sdk.Configuration(
            app_name="test", app_data_dir=cache + "/app", model_cache_dir=cache + "/models",
            logs_dir=cache + "/logs", log_level=sdk.LogLevel.FATAL, catalog_urls=[(url, None)],
            web=sdk.Configuration.WebService(urls="http://127.0.0.1:0"),
            disable_nonessential_telemetry=True))
        manager.start_web_service()
        print(manager.urls[0], flush=True)
        sys.stdin.read()
        manager.close()
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), url, str(cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate(timeout=30)


def open_(model: str, endpoint: str) -> Engine:
    return FoundryLocalEngine.open(Setup(model, endpoint=endpoint, context=8192))


def test_a_service_is_found_without_being_told_its_port(service: str) -> None:
    assert service in find()
    assert service in FoundryLocalEngine.status()


async def test_a_model_of_the_service_is_loaded_there_and_answers(service: str) -> None:
    engine = open_("smol", f"{service}/v1")
    assert isinstance(engine, FoundryService)
    assert engine.model == "smol-generic-cpu:2"
    assert "smol-generic-cpu:2" in await engine.health()
    streamed, last = await answer(engine, Request(HELLO, max_tokens=12))
    whole, _ = await answer(engine, Request(HELLO, max_tokens=12, stream=False))
    assert streamed == whole != ""
    assert last.finish == "length"
    assert last.usage is not None and last.usage.completion == 12
    assert last.prefill_seconds > 0 and last.decode_seconds > 0


async def test_the_service_holds_an_answer_to_a_schema(service: str) -> None:
    open_("smol", service)
    engine = open_("smol-generic-cpu:2", service)  # by its id, now that it is loaded
    for seed in range(3):
        request = Request(HELLO, schema=SCHEMA, max_tokens=100, temperature=1.5, seed=seed)
        text, _ = await answer(engine, request)
        jsonschema.validate(json.loads(text), SCHEMA)


async def test_a_prompt_longer_than_the_services_window_is_said_to_be(service: str) -> None:
    engine = open_("smol", service)
    with pytest.raises(ContextOverflowError):
        await answer(engine, Request([Message("user", "wave " * 8300)], max_tokens=4))


def test_a_model_that_is_not_loaded_is_wanted_by_its_alias(service: str) -> None:
    with pytest.raises(EngineError, match="by alias only"):
        open_("phi-generic-cpu:1", service)


def test_a_model_that_the_service_lacks_is_named_with_those_it_has(service: str) -> None:
    with pytest.raises(UnknownModelError, match=r"phi-generic-cpu:1.*smol-generic-cpu:2"):
        open_("llama", service)


async def test_a_service_of_the_first_version_is_not_trusted_with_a_schema() -> None:
    first = {
        "/openai/status": {"Endpoints": ["x"], "ModelDirPath": "/models"},
        "/openai/loadedmodels": ["phi-generic-cpu"],
        "/openai/load/phi-generic-cpu": {},
        "/v1/models": {"data": [{"id": "phi-generic-cpu"}]},
    }
    with serving(first) as endpoint:
        engine = open_("phi", endpoint)
        assert engine.model == "phi-generic-cpu"
        assert not engine.capabilities.schema
        with pytest.raises(EngineError, match="does not hold"):
            await answer(engine, Request(HELLO, schema=SCHEMA))


def test_the_first_sdks_names_work_over_the_service(service: str) -> None:
    manager = FoundryLocalManager("smol", service_uri=service)
    assert manager.endpoint == f"{service}/v1"
    assert manager.api_key
    assert manager.get_model_info().id == "smol-generic-cpu:2"
    assert manager.is_model_loaded()
    assert manager.health_check()
    assert manager.get_memory_usage() > 100 << 20  # the model is in it
    manager.unload_model()
    assert not manager.is_model_loaded()
    assert manager.list_loaded_models() == []
    gone = FoundryLocalManager(service_uri="http://127.0.0.1:9")
    assert not gone.health_check()
    with pytest.raises(EngineError):
        gone.get_memory_usage()
