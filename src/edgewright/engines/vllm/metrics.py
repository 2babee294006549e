"""What a vLLM server tells of itself at /metrics, as our figures."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass

# A sample of Prometheus' text format: the name, labels that may be left out, the value.
_SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")


@dataclass(frozen=True, slots=True)
class Figures:
    """A server's figures, over all its models. Counts and means are since it started; None where
    nothing was measured yet, or where the server does not tell."""

    running: int = 0  # requests being computed
    waiting: int = 0  # requests in its queue
    kv_cache: float | None = None  # share in use, 0 to 1
    prefix_hits: float | None = None  # share of prompt tokens that were not computed again
    prompt_tokens: int = 0
    generation_tokens: int = 0
    succeeded: int = 0  # requests answered to their end
    failed: int = 0  # requests ended by a fault; of clients that left vLLM does not tell
    first_token: float | None = None  # mean seconds to the first token
    inter_token: float | None = None  # mean seconds between two tokens
    end_to_end: float | None = None  # mean seconds of a request
    queued: float | None = None  # mean seconds that a request waited
    prefill: float | None = None  # mean seconds
    decode: float | None = None  # mean seconds


def parse(text: str) -> Figures:
    """The figures in the text of /metrics. What is no metric of vLLM's is passed over."""
    total: dict[str, float] = defaultdict(float)
    count: dict[str, int] = defaultdict(int)
    ended: dict[str, float] = defaultdict(float)
    for line in text.splitlines():
        sample = _SAMPLE.match(line)
        if sample is None or not sample["name"].startswith("vllm:"):
            continue
        try:
            value = float(sample["value"])
        except ValueError:
            continue
        if not math.isfinite(value):
            continue
        name = sample["name"].removeprefix("vllm:")
        total[name] += value
        count[name] += 1
        if name == "request_success_total":
            reason = re.search(r'finished_reason="(\w+)"', sample["labels"] or "")
            ended[reason[1] if reason else ""] += value

    def ratio(over: str, under: str) -> float | None:
        return total[over] / total[under] if total.get(under) else None

    def mean(name: str) -> float | None:
        return ratio(f"{name}_seconds_sum", f"{name}_seconds_count")

    broken = ended["abort"] + ended["error"]
    return Figures(
        running=int(total["num_requests_running"]),
        waiting=int(total["num_requests_waiting"]),
        kv_cache=total["kv_cache_usage_perc"] / count["kv_cache_usage_perc"]
        if count["kv_cache_usage_perc"]
        else None,
        prefix_hits=ratio("prefix_cache_hits_total", "prefix_cache_queries_total"),
        prompt_tokens=int(total["prompt_tokens_total"]),
        generation_tokens=int(total["generation_tokens_total"]),
        succeeded=int(sum(ended.values()) - broken),
        failed=int(broken),
        first_token=mean("time_to_first_token"),
        inter_token=mean("inter_token_latency"),
        end_to_end=mean("e2e_request_latency"),
        queued=mean("request_queue_time"),
        prefill=mean("request_prefill_time"),
        decode=mean("request_decode_time"),
    )
