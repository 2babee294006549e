from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any

import pytest
from crafted import ARRAY, DATA, LLAMA, STRING, U64, gguf, string, value
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from edgewright.domain.errors import ModelFileError
from edgewright.models.gguf import read_header


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def test_a_header_tells_what_the_model_is(file: Path) -> None:
    file.write_bytes(gguf())
    header = read_header(file)
    assert (header.version, header.architecture, header.name) == (3, "llama", "Tiny")
    assert (header.quantization, header.context_length) == ("Q4_K_M", 2048)
    assert (header.block_count, header.embedding_length) == (2, 64)
    assert (header.head_count, header.head_count_kv) == (4, 2)
    assert (header.key_length, header.value_length) == (None, None)
    assert header.template == "chatml"
    assert (header.tensor_count, header.parameters) == (2, 64 * 4 + 64)
    assert header.tensor_types == {"Q8_0": 272, "F32": 256}
    assert header.size == file.stat().st_size


def test_what_a_file_does_not_say_is_none(file: Path) -> None:
    file.write_bytes(gguf({"general.architecture": "bert"}, version=2))
    header = read_header(str(file))
    assert (header.context_length, header.head_count, header.name) == (None, None, "")
    assert header.quantization == "Q8_0"  # what most of it is
    assert header.template == "none"
    with pytest.raises(ModelFileError, match="no layer or head counts"):
        header.kv_cache_bytes(10)


@pytest.mark.parametrize(
    ("changes", "per_token"),
    [
        ({}, 2 * 2 * (16 + 16) * 2),  # layers x kv heads x (key + value) x bytes
        ({"llama.attention.head_count_kv": [2, 1]}, 3 * (16 + 16) * 2),
        ({"llama.attention.head_count": [4, 8]}, 2 * 2 * (8 + 8) * 2),
        ({"llama.attention.key_length": 24}, 2 * 2 * (24 + 16) * 2),
        (
            {"llama.attention.key_length": 24, "llama.attention.value_length": 8},
            2 * 2 * (24 + 8) * 2,
        ),
    ],
)
def test_the_size_of_the_cache(file: Path, changes: dict[str, Any], per_token: int) -> None:
    file.write_bytes(gguf({**LLAMA, **changes}))
    header = read_header(file)
    assert header.kv_cache_bytes(1) == per_token
    assert header.kv_cache_bytes(100, bytes_per_value=1) == per_token * 50


def test_without_key_value_heads_every_head_has_its_own(file: Path) -> None:
    file.write_bytes(gguf({k: v for k, v in LLAMA.items() if not k.endswith("count_kv")}))
    assert read_header(file).kv_cache_bytes(1) == 2 * 4 * (16 + 16) * 2


def test_a_file_cut_anywhere_is_refused(file: Path) -> None:
    whole = gguf()
    for length in (*range(0, len(whole) - len(DATA), 7), len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(ModelFileError):
            read_header(file)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "does not begin with the letters GGUF"),
        (b"PK\x03\x04" + bytes(100), "does not begin with the letters GGUF"),
        (b"<!DOCTYPE html>", "does not begin with the letters GGUF"),
        (gguf(version=1), "version 1"),
        (gguf(version=3 << 24), "big-endian"),
        (gguf(data=DATA[:-1]), "cut off: 1 of"),
        (gguf(counts=(1 << 60, 1)), "claims 1,152,921,504,606,846,976 tensors"),
        (gguf(counts=(1, 1 << 60)), "1,152,921,504,606,846,976 metadata pairs"),
        (gguf({"general.name": "x"}), "names no architecture"),
        (gguf({"general.architecture": 7}), "names no architecture"),
        (gguf({**LLAMA, "general.alignment": 0}), "alignment 0"),
        (gguf({**LLAMA, "llama.block_count": "two"}), "block_count is not a count"),
        (gguf({**LLAMA, "llama.block_count": [1, 2]}), "block_count is a list"),
        (gguf({**LLAMA, "llama.block_count": 1 << 31}), "block_count is not a count"),
        (gguf({**LLAMA, "llama.attention.head_count": []}), "head_count is not a count"),
        (gguf({**LLAMA, "x": struct.pack("<I", 77)}), "unknown metadata type 77"),
        (gguf({**LLAMA, "x": [[[[[[1]]]]]]}), "nested more than 4"),
        (gguf({**LLAMA, "x": struct.pack("<IQ", STRING, 1 << 63)}), "inside the header"),
        (gguf({**LLAMA, "x": struct.pack("<IIQ", ARRAY, STRING, 1 << 61)}), "strings where"),
        (gguf({**LLAMA, "x": struct.pack("<IIQ", ARRAY, U64, 1 << 61)}), "items where"),
        (gguf({**LLAMA, "x": struct.pack("<IIQ", ARRAY, ARRAY, 1 << 61)}), "more than"),
        (gguf(tensors=[("t", (1,) * 9, 0, 0)]), "9 dimensions"),
        (gguf(tensors=[("t", (1 << 63, 1 << 63), 0, 0)]), "cut off"),
        (gguf(tensors=[("t", (1,), 0, (1 << 64) - 1)]), "cut off"),
        (gguf(tensors=[("t", (1 << 40,), 999, 0)]), "cut off"),
    ],
)
def test_what_is_no_usable_model_is_refused_and_said(file: Path, content: bytes, says: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match=says):
        read_header(file)


def test_a_key_given_twice_is_refused(file: Path) -> None:
    once = string("general.name") + value("x")
    body = gguf({"general.architecture": "llama"}, [], b"", counts=(0, 3)).rstrip(b"\0")
    file.write_bytes(body + once + once)
    with pytest.raises(ModelFileError, match=r"general\.name is given twice"):
        read_header(file)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelFileError, match="cannot be read"):
            read_header(path)


def test_a_long_string_is_skipped_not_kept(file: Path) -> None:
    file.write_bytes(gguf({**LLAMA, "general.name": "x" * (3 << 20)}))
    assert read_header(file).name == ""
    assert read_header(file).block_count == 2


def test_a_vocabulary_is_skipped_fast(file: Path) -> None:
    tokens = [f"token-{n}" for n in range(150_000)]
    file.write_bytes(gguf({"a": tokens, "b": tokens, **LLAMA}))
    began = time.perf_counter()
    assert read_header(file).block_count == 2
    assert time.perf_counter() - began < 1.0  # 0.1 s on an idle machine


def test_a_huge_array_of_nothing_is_refused_fast(file: Path) -> None:
    """A sparse gigabyte of zeros is 125 million empty strings."""
    with file.open("wb") as out:
        out.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + string("x"))
        out.write(struct.pack("<IIQ", ARRAY, STRING, 100_000_000))
        out.truncate(1 << 30)
    began = time.perf_counter()
    with pytest.raises(ModelFileError, match="more than"):
        read_header(file)
    assert time.perf_counter() - began < 1.0


GOOD = gguf({**LLAMA, "x": [["a"], ["b", "c"]], "llama.attention.head_count_kv": [2, 2]})


@settings(
    max_examples=400, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.tuples(
            st.integers(0, len(GOOD) - 1),
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff" * 8, b"\0" * 8, struct.pack("<Q", 1 << 40)]),
            ),
        ),
        max_size=6,
    ),
    length=st.one_of(st.just(len(GOOD)), st.integers(0, len(GOOD))),
)
@example(changes=[], length=len(GOOD))
def test_a_mangled_file_is_read_or_refused(
    file: Path, changes: list[tuple[int, bytes]], length: int
) -> None:
    content = bytearray(GOOD)
    for at, new in changes:
        content[at : at + len(new)] = new
    file.write_bytes(content[:length])
    try:
        header = read_header(file)
    except ModelFileError:
        return
    try:
        assert header.kv_cache_bytes(1) >= 0
    except ModelFileError:
        return
