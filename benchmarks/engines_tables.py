"""What `engines` measured, as it stands on the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .report import median, number, table, times

DEFAULT = "llama_cpp"


@dataclass(frozen=True)
class Demo:
    """One run of the demo's requests: `again` in a home where they were made before."""

    round: int
    provider: str
    again: bool
    took: dict[str, Any]


def demo(model: str, runs: Sequence[Demo]) -> list[str]:
    """The table, and what went wrong in it."""
    heads = ("answers s", "÷ default", "load s", "with loading s", "÷ default", "calls")
    rows = []
    for again in (False, True):
        for provider in (DEFAULT, "auto"):
            some = [run for run in runs if (run.provider, run.again) == (provider, again)]
            middle = {
                key: median([run.took[key] for run in some]) for key in ("answers", "load", "whole")
            }
            engines = "/".join(sorted({run.took["engine"] for run in some}))
            name = f"auto: {engines}" if provider == "auto" else f"default: {engines}"
            wrong = sum(bool(run.took["faults"]) for run in some)
            rows.append(
                [
                    f"{name}, {'the same home again' if again else 'an empty home'}",
                    number(middle["answers"]),
                    times(_to_default(runs, some, "answers")),
                    number(middle["load"]),
                    number(middle["whole"]),
                    times(_to_default(runs, some, "whole")),
                    f"wrong in {wrong} of {len(some)}" if wrong else "all right",
                ]
            )
    faults = {f"{run.provider}: {fault}." for run in runs for fault in run.took["faults"]}
    return [table([f"the demo's three requests, {model}", *heads], rows), *sorted(faults)]


def _to_default(runs: Sequence[Demo], some: Sequence[Demo], key: str) -> float:
    default = {(r.round, r.again): r.took[key] for r in runs if r.provider == DEFAULT}
    return median([run.took[key] / default[run.round, run.again] for run in some])


def prefill(model: str, profiles: Sequence[Mapping[str, Any]]) -> str:
    """How fast both read, of what `edgewright tune` found."""
    found = [profile["engines"] for profile in profiles]
    names = [f"{name} ({found[0][name]['quantization']})" for name in (DEFAULT, "openvino")]
    rows = []
    for size in sorted(set.intersection(*({*e[n]["prefill"]} for e in found for n in e)), key=int):
        default = [engines[DEFAULT]["prefill"][size] for engines in found]
        other = [engines["openvino"]["prefill"][size] for engines in found]
        ratio = median([b / a for a, b in zip(default, other, strict=True)])
        rows.append([size, number(median(default), 0), number(median(other), 0), times(ratio)])
    return table([f"prompt tokens read a second, {model}, of a prompt of", *names, "ratio"], rows)


def together(name: str, rates: Mapping[str, Sequence[float]], own: str) -> list[str]:
    """A row of `eight`."""
    ratio = median([a / b for a, b in zip(rates["ours"], rates[own], strict=True)])
    return [name, number(median(rates[own])), number(median(rates["ours"])), times(ratio)]


def eight(rows: Sequence[Sequence[str]], tokens: int) -> list[str]:
    if not rows:
        return []
    head = f"eight requests at once, {tokens} tokens each, tokens/s"
    return [table([head, "its own best client", "edgewright", "ratio"], rows)]


def vllm(model: str, falls: Sequence[Mapping[str, Any]]) -> list[str]:
    seconds = [
        ["ready after its start", number(median([fall["ready"] for fall in falls]))],
        ["killed, being started again after", number(median([f["restart"] for f in falls]), 2)],
        ["killed, ready again after", number(median([fall["healthy"] for fall in falls]))],
    ]
    inside = [one for fall in falls for one in fall["inside"]]
    groups = {
        "in flight, being answered": [one for one in inside if one["began"]],
        "in flight, waiting in the server": [one for one in inside if not one["began"]],
        "asked while it was down": [one for fall in falls for one in fall["down"]],
    }
    rows = [_became(name, requests) for name, requests in groups.items() if requests]
    why = {one["code"]: one["why"] for group in groups.values() for one in group if one["code"]}
    heads = ("answered", "failed clearly", "lost", "told after s, at most")
    return [
        table([f"a vLLM server, {model}", "s"], seconds),
        table(["requests at `kill -9` of the server", *heads], rows),
        *(f"Failed clearly: `{code}`, “{text}”" for code, text in why.items()),
    ]


def _became(name: str, requests: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = [str(_count(requests, how)) for how in ("answered", "failed", "lost")]
    return [name, *counts, number(max(one["after"] for one in requests))]


def _count(requests: Iterable[Mapping[str, Any]], how: str) -> int:
    return sum(one["how"] == how for one in requests)


def how(rounds: int) -> str:
    return (
        f"Median of {rounds} interleaved rounds, each number from a fresh process; a tune run and "
        "a fall of a vLLM server in each. An empty home has the models, what the engines make of "
        "them and the tune profile, and nothing computed. Both have as many threads as there are "
        "cores. Its own best client: `xllamacpp`'s Server; `ContinuousBatchingPipeline` of "
        "OpenVINO GenAI, with float32 as ours has it, and as it comes (bfloat16); a batch of "
        "ONNX Runtime GenAI's Generator; the `openai` package, at the same vLLM server."
    )
