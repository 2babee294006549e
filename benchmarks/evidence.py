"""How well the checks tell what was said from what was made up: no model, under a minute.

Usage: python benchmarks/evidence.py SHARED_DATA [--dialogues 500] [--show 20]

Right calls, of the tool dialogues (true history as messages) and of Seal-Tools, go through `check`
as they are: how many come back untouched. Then one argument of each call is made up, by the value
that it has in another call and that nobody said here: how many of those pass.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from edgewright.acting.check.check import Draft, check
from edgewright.acting.check.evidence import Evidence
from edgewright.acting.check.words import content_words, folded
from edgewright.domain.message import Message, ToolCall
from edgewright.domain.tool import ToolSpec

NOW = datetime(2019, 3, 1)  # which the dialogues take for today
_KINDS = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


class Case(NamedTuple):
    """A right call with what was said before it, and the forms in which each value was said."""

    tool: ToolSpec
    arguments: dict[str, Any]
    messages: Sequence[Message]
    forms: dict[str, list[str]]


@dataclass
class Rates:
    right: int = 0
    untouched: int = 0
    refused: int = 0
    made_up: int = 0
    passed: int = 0


def dialogues(folder: Path, most: int) -> Iterator[Case]:
    """The calls that are due in the dialogues of the training split."""
    services = json.loads((folder / "tools-train.json").read_text("utf-8"))
    tools = {
        service: {
            t["name"]: ToolSpec(
                t["name"],
                t["description"],
                t["parameters"],
                read_only=not t["changes_something"],
            )
            for t in listed
        }
        for service, listed in services.items()
    }
    with (folder / "train.jsonl").open(encoding="utf-8") as lines:
        for n, line in enumerate(lines):
            if n >= most:
                return
            talk = json.loads(line)
            known = {name: tool for s in talk["services"] for name, tool in tools[s].items()}
            messages: list[Message] = []
            for turn in talk["turns"]:
                messages.append(Message("user", turn["user"]))
                for call in turn["calls"]:
                    said = {k: v for k, v in call["arguments"].items() if v != "dontcare"}
                    if tool := known.get(call["name"]):
                        yield Case(tool, said, tuple(messages), turn["state"])
                for k, (call, result) in enumerate(
                    zip(turn["calls"], turn["results"], strict=False)
                ):
                    made = ToolCall(f"{len(messages)}.{k}", call["name"], call["arguments"])
                    messages.append(Message("assistant", "", calls=(made,)))
                    text = json.dumps(result, ensure_ascii=False)
                    messages.append(Message("tool", text, call_id=made.id, name=made.name))
                messages.append(Message("assistant", turn["reply"]))


def seal_tools(folder: Path) -> Iterator[Case]:
    """The requests that take one step. Left out, for nothing in them is a value: an argument that
    is the result of another call, and a call of which a value has no word in the request."""
    tools = {}
    for line in (folder / "tools.jsonl").read_text("utf-8").splitlines():
        told = json.loads(line)
        properties = {
            name: {"type": _KINDS.get(p["type"], "string"), "description": p["description"]}
            for name, p in told["parameters"].items()
        }
        schema = {
            "type": "object",
            "properties": properties,
            "required": [name for name in told["required"] if name in properties],
        }
        tools[told["api_name"]] = ToolSpec(told["api_name"], told["api_description"], schema)
    for line in (folder / "dev.jsonl").read_text("utf-8").splitlines():
        case = json.loads(line)
        for call in case["calling"]:
            values = json.dumps(call["parameters"])
            said = {*content_words(case["query"])}
            given = all({*content_words(str(v))} & said for v in call["parameters"].values())
            if call["api"] in tools and given and "API_call_" not in values:
                messages = (Message("user", case["query"]),)
                yield Case(tools[call["api"]], call["parameters"], messages, {})


def measure(cases: Sequence[Case], show: int) -> Rates:
    """Puts each case through the checks, as it is and with one value made up."""
    rates, shown = Rates(), Counter[str]()
    draw = random.Random(0)
    pool: dict[str, list[Any]] = {}
    for case in cases:
        for name, value in case.arguments.items():
            pool.setdefault(name, []).append(value)
    for case in cases:
        evidence = Evidence.of(case.messages, now=NOW)
        said = {
            name: case.forms.get(name, [value])[-1] if isinstance(value, str) else value
            for name, value in case.arguments.items()
        }
        for arguments in (case.arguments, said) if said != case.arguments else (said,):
            draft = check(arguments, case.tool, evidence)
            held = holds(draft, arguments, case)
            rates.right += 1
            rates.untouched += held
            rates.refused += bool(draft.refused)
            if not held and shown["right"] < show:
                shown["right"] += 1
                print("RIGHT", case.tool.name, arguments, "->", draft, case.messages[-3:], "\n")
        if not case.arguments:
            continue
        name = draw.choice(sorted(case.arguments))
        true = {*map(normal, [case.arguments[name], *case.forms.get(name, [])])}
        other = draw.choice(pool[name])
        true |= {normal(form) for forms in case.forms.values() for form in forms}
        true |= {*map(normal, case.arguments.values())}
        if normal(other) in true or f" {folded(str(other))} " in said_by_anyone(case):
            continue
        draft = check({**case.arguments, name: other}, case.tool, evidence)
        passed = normal(draft.arguments.get(name)) == normal(other)
        rates.made_up += 1
        rates.passed += passed
        if passed and shown["made up"] < show:
            shown["made up"] += 1
            said_by = draft.sources.get(name)
            print("MADE UP", case.tool.name, name, repr(other), said_by, case.arguments, "\n")
    return rates


def said_by_anyone(case: Case) -> str:
    return f" {folded(' '.join(message.content for message in case.messages))} "


def holds(draft: Draft, arguments: dict[str, Any], case: Case) -> bool:
    """Whether the call is as it was, but for values in another of the forms that were said."""
    if draft.missing or draft.refused or draft.arguments.keys() != arguments.keys():
        return False
    for name, value in draft.arguments.items():
        right = [arguments[name], case.arguments[name], *case.forms.get(name, [])]
        if normal(value) not in map(normal, right):
            return False
    return True


def normal(value: Any) -> str:
    try:
        return str(float(value))
    except (TypeError, ValueError):
        return " ".join(str(value).lower().replace(",", " ").split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("data", type=Path)
    parser.add_argument("--dialogues", type=int, default=500)
    parser.add_argument("--show", type=int, default=0, help="cases of each kind that went wrong")
    options = parser.parse_args()
    sources = {
        "dialogues": [*dialogues(options.data / "dialogues", options.dialogues)],
        "seal-tools": [*seal_tools(options.data / "seal-tools")],
    }
    for source, cases in sources.items():
        began = time.perf_counter()
        rates = measure(cases, options.show)
        print(
            f"{source}: {rates.untouched} of {rates.right} right calls untouched"
            f" ({rates.untouched / rates.right:.1%}), {rates.refused} refused;"
            f" {rates.passed} of {rates.made_up} made-up values pass"
            f" ({rates.passed / rates.made_up:.1%}); {time.perf_counter() - began:.1f} s"
        )


if __name__ == "__main__":
    main()
