"""Model files made to do harm: refused clearly, soon, and in little memory."""

from __future__ import annotations

import struct
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from crafted import ARRAY, LLAMA, STRING, gguf, string, value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgewright.domain.errors import ModelFileError
from edgewright.models.gguf import GGUFHeader, read_header

HEAD = b"GGUF" + struct.pack("<IQQ", 3, 0, 2)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


@contextmanager
def soon_and_small() -> Iterator[None]:
    """What happens within takes under a second and 64 MB."""
    tracemalloc.start()
    began = time.perf_counter()
    try:
        yield
        took, (_, peak) = time.perf_counter() - began, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert took < 1.0
    assert peak < 64_000_000


def sparse(file: Path, head: bytes, size: int) -> None:
    """A file that begins so, and then has zeros that take no disk."""
    with file.open("wb") as out:
        out.write(head)
        out.truncate(size)


def refused(file: Path) -> str:
    with soon_and_small(), pytest.raises(ModelFileError) as caught:
        read_header(file)
    assert caught.value.code == "model_file_invalid" and caught.value.hint
    return str(caught.value)


def test_a_string_of_two_gigabytes_that_is_there_is_refused(file: Path) -> None:
    for kind in (struct.pack("<I", STRING), struct.pack("<IIQ", ARRAY, STRING, 1)):
        sparse(file, HEAD + string("x") + kind + struct.pack("<Q", 2 << 30), 3 << 30)
        assert "longer than 256 MiB" in refused(file)


def test_a_string_of_two_gigabytes_that_is_not_there_is_refused(file: Path) -> None:
    file.write_bytes(gguf({**LLAMA, "x": struct.pack("<IQ", STRING, 2 << 30)}))
    assert "cut off" in refused(file)


def test_a_name_of_a_megabyte_is_refused(file: Path) -> None:
    file.write_bytes(gguf({**LLAMA, "k" * 1_000_000: 1}))
    assert "a name of 1,000,000 bytes" in refused(file)
    file.write_bytes(gguf(tensors=[("t" * 1_000_000, (1,), 0, 0)], data=bytes(4)))
    assert "a name of 1,000,000 bytes" in refused(file)


def test_an_array_of_arrays_of_nothing_is_refused(file: Path) -> None:
    """Each of them is 12 bytes, so a sparse file holds millions."""
    inner = struct.pack("<IIQ", ARRAY, ARRAY, 10_000_000)
    sparse(file, HEAD + string("x") + inner, 1 << 30)
    assert "more than" in refused(file)


def test_as_many_empty_strings_as_are_let_through_are_walked_soon(file: Path) -> None:
    began = time.perf_counter()
    many = struct.pack("<IIQ", ARRAY, STRING, 2_000_000)
    sparse(file, HEAD + string("x") + many, 1 << 30)
    with pytest.raises(ModelFileError, match="names no architecture"):
        read_header(file)
    assert time.perf_counter() - began < 1.0  # 0.3 s on an idle machine


def test_terabytes_of_tensors_are_refused(file: Path) -> None:
    file.write_bytes(gguf(tensors=[("t", (1 << 20, 1 << 20), 0, 0)]))  # four, of F32
    assert "of 4,398,046,5" in (said := refused(file)) and "bytes are missing" in said


def test_tensors_that_share_their_bytes_are_refused(file: Path) -> None:
    """Else a small file could claim any number of weights."""
    file.write_bytes(gguf(tensors=[("a", (64,), 0, 0), ("b", (64,), 0, 0)], data=bytes(256)))
    assert "overlap: 512 bytes of them in 256" in refused(file)


def test_a_hostile_template_is_noted_and_never_run(file: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    template = "{{ ''.__class__.__mro__[1].__subclasses__() }}{% for x in range(10**9) %}"
    template += f"{{{{ cycler.__init__.__globals__.os.system('touch {trace}') }}}}{{% endfor %}}"
    file.write_bytes(gguf({**LLAMA, "tokenizer.chat_template": template}))
    with soon_and_small():
        header = read_header(file)
    assert header.template == "unknown"
    assert "subclasses" not in repr(header)
    assert not trace.exists()


@pytest.mark.parametrize("key", ["block_count", "attention.head_count", "feed_forward_length"])
@pytest.mark.parametrize("number", [1 << 63, (1 << 64) - 1, 1 << 31])
def test_counts_that_cannot_be_are_refused(file: Path, key: str, number: int) -> None:
    file.write_bytes(gguf({**LLAMA, f"llama.{key}": struct.pack("<IQ", 10, number)}))
    assert f"{key} is not a count" in refused(file)


def test_as_many_layers_as_can_be_counted_do_not_fill_the_memory(file: Path) -> None:
    file.write_bytes(gguf({**LLAMA, "llama.block_count": (1 << 31) - 1}))
    header = read_header(file)
    with soon_and_small(), pytest.raises(ModelFileError, match="layers"):
        header.kv_cache_bytes(4096)


def test_an_adapter_says_that_it_is_one(file: Path) -> None:
    said: dict[str, Any] = {
        "general.architecture": "llama",
        "general.type": "adapter",
        "general.license": "mit",
        "adapter.type": "lora",
        "adapter.lora.alpha": 16.0,
    }
    file.write_bytes(gguf(said))
    header = read_header(file)
    assert (header.kind, header.adapter, header.lora_alpha) == ("adapter", "lora", 16.0)
    assert (header.licence, header.vocabulary) == ("mit", 0)


def test_what_memory_follows_from_is_read(file: Path) -> None:
    said = {
        **LLAMA,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.merges": ["a b", "c d", "e f"],
        "llama.feed_forward_length": [8, 16],
        "llama.attention.sliding_window": 512,
    }
    file.write_bytes(gguf(said))
    header = read_header(file)
    assert (header.kind, header.tokenizer, header.vocabulary, header.merges) == (
        "model",
        "gpt2",
        4,
        3,
    )
    assert (header.feed_forward_length, header.sliding_window) == ((8, 16), 512)
    assert header.token_embedding == ("Q8_0", 272)


GOOD = gguf({**LLAMA, "x": [["a"], ["b", "c"]], "general.type": "model"})


def read_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        with soon_and_small():
            header = read_header(file)
    except ModelFileError as error:
        assert str(file) in str(error)
    else:
        assert isinstance(header, GGUFHeader)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400))
@example(content=b"GGUF")
@example(content=b"")
def test_any_bytes_are_read_or_refused(file: Path, content: bytes) -> None:
    read_or_refused(file, content)
    read_or_refused(file, b"GGUF" + struct.pack("<I", 3) + content)


numbers = st.one_of(
    st.integers(0, 12), st.sampled_from([1 << 20, 1 << 31, 1 << 40, 1 << 63, (1 << 64) - 1])
)


@st.composite
def odd_values(draw: st.DrawFn) -> bytes:
    """A value of any type, perhaps one that there is not, that claims any length."""
    kind = draw(st.integers(0, 14))
    if kind == ARRAY:
        head = struct.pack("<IIQ", ARRAY, draw(st.integers(0, 14)), draw(numbers))
    elif kind == STRING:
        head = struct.pack("<IQ", STRING, draw(numbers))
    else:
        head = struct.pack("<I", kind)
    return head + draw(st.binary(max_size=40))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pairs=st.lists(st.tuples(st.sampled_from([*LLAMA, "x", ""]), odd_values()), max_size=5),
    tensors=st.lists(
        st.tuples(st.lists(numbers, max_size=5), st.integers(0, 50), numbers), max_size=4
    ),
)
def test_any_claims_are_read_or_refused(
    file: Path, pairs: list[tuple[str, bytes]], tensors: list[tuple[list[int], int, int]]
) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs) + 1)
    head += string("general.architecture") + value("llama")
    head += b"".join(string(key) + said for key, said in pairs)
    for dims, kind, offset in tensors:
        head += string("t") + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        head += struct.pack("<IQ", kind, offset)
    read_or_refused(file, head + bytes(512))
