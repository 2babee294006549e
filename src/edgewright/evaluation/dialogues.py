"""Real dialogues over services, decided turn by turn with the true history given.

The data: docs/benchmarks.md. An agent has the tools of its dialogue's services and asks before it
calls one that changes something, as the true assistant does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Final

from ..agent.config import Config
from ..domain.engine import Engine
from ..domain.errors import ConfigError
from ..domain.message import Message, ToolCall
from ..domain.tool import ToolSpec
from .dialogue_score import Predicted, answers, is_quiet, score
from .interval import Rate
from .records import Record
from .runner import agent_for, as_json, counter, judged
from .shared_data import data_folder, digest, read_json
from .suite import Suite, check_choice, picked

SOURCE: Final = "github.com/google-research-datasets/dstc8-schema-guided-dialogue, as prepared."
SPLITS: Final = ("dev", "train")


@dataclass(frozen=True, slots=True)
class DialogueTurn:
    """A turn, as far as the user's message. `turn` is the data's, and `specs` the tools."""

    id: str
    messages: Sequence[Message]
    specs: Sequence[ToolSpec]
    turn: Mapping[str, Any]
    system: str = ""

    @property
    def category(self) -> str:
        return "call due" if self.turn["calls"] else "no call due"

    @property
    def changing(self) -> set[str]:
        return {tool.name for tool in self.specs if not tool.read_only}

    def tools(self) -> list[ToolSpec]:
        return list(self.specs)

    def mistake(self, calls: Sequence[ToolCall]) -> str:
        """What is wrong at this turn alone; a confirmation asked for counts as a call here."""
        predicted = Predicted([as_json(call) for call in calls])
        due = self.turn["calls"]
        if not due:
            quiet = is_quiet(predicted, self.turn["active"], self.changing)
            return "" if quiet else "no call was due"
        for call in due:
            named, right = answers(call, predicted.calls, self.turn["state"])
            if not right:
                return f"{call['name']}: " + ("wrong arguments" if named else "not called")
        return ""


class Dialogues(Suite[DialogueTurn]):
    """The dialogues of a split, in the form of the data set."""

    name: ClassVar[str] = "dialogues"
    settings: ClassVar[dict[str, Any]] = {"confirm": "changes"}

    def __init__(
        self,
        dialogues: Sequence[Mapping[str, Any]],
        tools: Mapping[str, Sequence[Mapping[str, Any]]],
        key: str = "",
    ) -> None:
        super().__init__([case for one in dialogues for case in _turns(one, tools)], key)
        self.dialogues = dialogues
        self.changing = {
            tool["name"] for one in tools.values() for tool in one if tool["changes_something"]
        }

    async def record(self, case: DialogueTurn, engine: Engine, config: Config) -> Record:
        decision = await agent_for(case, engine, config).decide_async(case.messages)
        record = await judged(case, decision, counter(engine))
        if (asked := decision.confirm) is None:
            return record
        why = case.mistake([*decision.calls, asked]) if case.turn["calls"] else record.why
        return replace(record, confirm=as_json(asked), right=not why, why=why)

    def rates(self, records: Sequence[Record]) -> list[Rate]:
        """The counts of the data's score.py, where a call that was put to the user at the turn
        before counts too."""
        counts = score(self.dialogues, _predictions(records), self.changing)
        return [
            Rate.counted("due calls made with right arguments", counts.made, counts.due),
            Rate.counted("due calls by the right tool", counts.tool, counts.due),
            Rate.counted("quiet where no call is due", counts.quiet, counts.calm),
            Rate.counted("wild changing calls, of all calls", counts.wild, counts.called),
        ]

    def export(self, records: Sequence[Record], path: Path) -> None:
        """Predictions in the form that score.py reads."""
        with path.with_suffix(".predictions.jsonl").open("w", encoding="utf-8") as file:
            for (dialogue, turn), one in _predictions(records).items():
                line = {"id": dialogue, "turn": turn, "calls": one.calls, "confirms": one.confirms}
                file.write(json.dumps(line) + "\n")


def load(
    data: str = "",
    split: str = "dev",
    services: Sequence[str] = (),
    ids: str = "all",
    limit: int | None = None,
) -> Dialogues:
    """The dialogues of a split; with `services`, those over no others; of them the first `limit`
    with such ids. Raises ConfigError."""
    check_choice(ids, limit)
    if split not in SPLITS:
        raise ConfigError(f"There is no split {split!r}.", hint=f"Use one of {', '.join(SPLITS)}.")
    folder = data_folder(data, "dialogues", SOURCE)
    files = folder / f"{split}.jsonl", folder / f"tools-{split}.json"
    dialogues, tools = map(read_json, files)
    for service in services:
        if service not in tools:
            raise ConfigError(
                f"There is no service {service!r} in {split}.",
                hint=f"There are {', '.join(sorted(tools))}.",
            )
    chosen = [
        one
        for one in dialogues
        if picked(ids, int(one["id"].rpartition("_")[2]))
        and (not services or set(one["services"]) <= set(services))
    ]
    return Dialogues(chosen[:limit], tools, digest(*files))


def _turns(
    dialogue: Mapping[str, Any], tools: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[DialogueTurn]:
    specs = [
        ToolSpec(
            tool["name"],
            tool["description"],
            tool["parameters"],
            read_only=not tool["changes_something"],
        )
        for service in dialogue["services"]
        for tool in tools[service]
    ]
    said: list[Message] = []
    for index, turn in enumerate(dialogue["turns"]):
        said.append(Message("user", turn["user"]))
        yield DialogueTurn(f"{dialogue['id']}/{index}", tuple(said), specs, turn)
        calls = tuple(
            ToolCall(f"{index}_{n}", call["name"], call["arguments"])
            for n, call in enumerate(turn["calls"])
        )
        if calls:
            said.append(Message("assistant", "", calls))
            for call, result in zip(calls, turn["results"], strict=True):
                said.append(Message("tool", json.dumps(result), (), call.id, call.name))
        said.append(Message("assistant", turn["reply"]))


def _predictions(records: Sequence[Record]) -> dict[tuple[str, int], Predicted]:
    predictions = {}
    for record in records:
        dialogue, _, turn = record.id.rpartition("/")
        predictions[dialogue, int(turn)] = Predicted(record.calls, record.confirm)
    return predictions
