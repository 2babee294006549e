"""Whether calls are what a case asks for, by the rules of the Berkeley leaderboard.

Ported from bfcl_eval/eval_checker/ast_eval/ast_checker.py of bfcl-eval 2026.3.23 (Apache-2.0,
https://github.com/ShishirPatil/gorilla), the Python cases, with its odd corners, so that scores
compare with the published ones. Where that code raises, the answer is wrong here.

An answer is one `{function: {parameter: [accepted values]}}` a call; "" among the accepted values
means that the parameter may be left out. Functions are described as the data does it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..domain.message import ToolCall

Answer = Mapping[str, Mapping[str, Sequence[Any]]]
Function = Mapping[str, Any]

_TYPES: Final = {
    "string": str,
    "integer": int,
    "float": float,
    "boolean": bool,
    "array": list,
    "tuple": list,
    "dict": dict,
    "any": str,
}


def mistake(
    functions: Sequence[Function], calls: Sequence[ToolCall], answers: Sequence[Answer]
) -> str:
    """What is wrong with the calls, or "" when they are right. Their order does not matter."""
    if len(calls) != len(answers):
        return f"calls expected: {len(answers)}, made: {len(calls)}"
    left = list(calls)
    for answer in answers:
        ((name, accepted),) = answer.items()
        function = next((f for f in functions if f["name"] == name), functions[0])
        reasons = []
        for n, call in enumerate(left):
            reason = _call(function, call, accepted)
            if not reason:
                del left[n]
                break
            reasons.append(reason)
        else:
            return " / ".join(reasons)
    return ""


def _call(function: Function, call: ToolCall, accepted: Mapping[str, Sequence[Any]]) -> str:
    if call.name != function["name"]:
        return f"{function['name']} was expected, not {call.name}"
    parameters = function["parameters"]["properties"]
    for name in function["parameters"]["required"]:
        if name not in call.arguments:
            return f"{name} is missing"
    for name, value in call.arguments.items():
        if name not in parameters or name not in accepted:
            return f"{name} was not expected"
        if not _accepted(parameters[name], value, accepted[name]):
            return f"{name} is {value!r}, not one of {list(accepted[name])!r}"
    for name, values in accepted.items():
        if name not in call.arguments and "" not in values:
            return f"{name} is missing"
    return ""


def _accepted(schema: Mapping[str, Any], value: Any, accepted: Sequence[Any]) -> bool:
    kind = _TYPES[schema["type"]]
    inner = _TYPES[schema["items"]["type"]] if schema["type"] in ("array", "tuple") else None
    if schema["type"] == "float" and type(value) is int:
        value = float(value)
    if not _typed(value, kind, inner, accepted):
        return False
    if _stated_type(accepted) in (kind, None):
        if kind is dict:
            return any(_same_dict(value, answer) for answer in accepted)
        if inner is dict:
            return any(_same_dicts(value, answer) for answer in accepted)
        if kind is str:
            return _normal(value) in [_normal(a) for a in accepted if isinstance(a, str)]
        if kind is list:
            # A string among the answers is compared by its characters, so "" with an empty list.
            answers = [[_normal(v) for v in a] for a in accepted if isinstance(a, list | str)]
            return [_normal(v) for v in value] in answers
    return value in accepted


def _typed(value: Any, kind: type[Any], inner: type[Any] | None, accepted: Sequence[Any]) -> bool:
    """Whether the value has the parameter's type, or else that of the accepted values: of a
    variable's name, for one. Items are looked at one level deep, against one answer's items."""
    if type(value) is kind:
        return inner is None or any(
            not isinstance(answer, list) or all(_typed(v, inner, None, answer) for v in value)
            for answer in accepted
        )
    return type(value) is _stated_type(accepted)


def _stated_type(accepted: Sequence[Any]) -> type | None:
    return next((type(answer) for answer in accepted if answer != ""), None)


def _same_dict(value: Any, answer: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(answer, dict):
        return False
    return all(
        key in answer and _normal(v) in [_normal(a) for a in answer[key]]
        for key, v in value.items()
    ) and all(key in value or "" in accepted for key, accepted in answer.items())


def _same_dicts(value: Any, answer: Any) -> bool:
    return (
        isinstance(answer, list | str)  # "" is the same as an empty list
        and len(value) == len(answer)
        and all(_same_dict(v, a) for v, a in zip(value, answer, strict=True))
    )


def _normal(value: Any) -> Any:
    """Strings without case, spaces and the punctuation that dates and addresses differ by."""
    if not isinstance(value, str):
        return value
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"')
