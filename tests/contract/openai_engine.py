"""An OpenAI-compatible endpoint, for the contract suite: llama.cpp's own server, on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgewright.engines import hermes
from edgewright.engines.llama_cpp.server import library
from edgewright.engines.openai import OpenAIEngine

# SmolLM2's own chat template leaves tools out; like it, this one lets control tokens through.
TEMPLATE = hermes.TEMPLATE.replace("""(text or "") | replace("<|", "< |")""", """(text or "")""")
KNOWN = {
    "test_cancelling_in_the_middle_of_a_long_prompt_frees_the_engine": "we leave at once, "
    "and llama.cpp's server looks whether anybody listens only when it has something to say: "
    "before the first token that is its progress, for those who ask, and others may refuse that "
    "(not run)",
}


@contextmanager
def served(path: Path, *, context: int, embeddings: bool = False) -> Iterator[str]:
    """The address of llama.cpp's own server for the model."""
    xllamacpp = library()  # which makes idle workers sleep before it loads the library
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.n_parallel = 4
    params.n_ctx = context * params.n_parallel
    params.kv_unified = False
    params.use_jinja = True
    params.chat_template = TEMPLATE
    params.endpoint_slots = True
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.ui = params.warmup = False
    params.verbosity = -1
    params.cpuparams.n_threads = 1
    params.cpuparams.poll = params.cpuparams_batch.poll = 0
    if embeddings:
        params.embedding = params.kv_unified = True
        params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    server = xllamacpp.Server(params)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="session")
def openai(smollm_path: Path) -> Iterator[OpenAIEngine]:
    with served(smollm_path, context=4096) as endpoint:
        yield OpenAIEngine(endpoint, "smollm2-135m", context=4096)


@pytest.fixture(scope="session")
def openai_embedding(smollm_path: Path) -> Iterator[OpenAIEngine]:
    with served(smollm_path, context=512, embeddings=True) as endpoint:
        yield OpenAIEngine(endpoint, "smollm2")


async def working(engine: OpenAIEngine) -> bool:
    """Whether the server computes anything."""
    return any(slot["is_processing"] for slot in await engine._api.get("../slots"))
