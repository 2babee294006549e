"""Of a list of records that a tool returned, those that the request names.

A small model takes the first record of a list, whatever was asked for. "The train at 8:32" names
one of them by a value that the others do not have.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ...domain.message import loads
from ...domain.tool import ToolSpec
from ..check.evidence import Evidence
from ..check.parameter import Parameter
from ..check.support import support

_MOST = 1000  # values of all records that are looked at, of which each takes a third of a ms

_ANY = ToolSpec("result", "", {"type": "object", "properties": {}})


def named_records(result: str, evidence: Evidence) -> str:
    """The result with only those records of its list that have most of the values that the user's
    last message names; as it is where it is no list of records, or none is named more than the
    others."""
    try:
        records = loads(result)
    except ValueError:
        return result
    if not _is_list_of_records(records) or not evidence.user:
        return result
    last = evidence.user[0]
    common = Counter(value for record in records for value in {*_values(record)})
    counts = [
        sum(
            support(_typed(value), Parameter("value", {}, _ANY, True), last) == "stated"
            for value in {*_values(record)}
            if common[value] < len(records)
        )
        for record in records
    ]
    most = max(counts)
    if most == min(counts):
        return result
    kept = [record for record, count in zip(records, counts, strict=True) if count == most]
    return json.dumps(kept, ensure_ascii=False)


def _is_list_of_records(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(record, dict) for record in value)
        and sum(map(len, value)) <= _MOST
    )


def _values(record: dict[str, Any]) -> Iterator[str]:
    """The record's plain values, as JSON."""
    for value in record.values():
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            yield json.dumps(value)


def _typed(value: str) -> Any:
    return json.loads(value)
