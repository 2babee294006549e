"""Each value has an owner, or it goes: what the model made up is dropped, or asked for."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...domain.evidence import Source
from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from ..language import detect
from .draft import OWN_WORDS, Draft
from .evidence import Evidence, Found
from .parameter import Parameter, required_of
from .support import is_retold, naming
from .words import FILLERS, REQUEST_WORDS, folded, plain, stem

NOT_SAID = "nothing that was said speaks for it"
# Words for several things of which none is named: "on weekends", "everything", "all toppings".
_SEVERAL = re.compile(r"\b(?:week(?:day|end)s?|daily|every(?:thing|one|body))\b")
_ALL = re.compile(r"\b(?:all|every|each)(?: of)?(?: the| my| our| your)? (\w+)")
_THEM = re.compile(r"\b(?:them|both|alle[sn]?|beide[ns]?|todos|todas|tous|toutes)\b")
_PLACE_WORDS = frozenset(
    {"city", "town", "location", "place", "address", "street", "zip", "county", "state", "country"}
)
_NEAR = "nearly what was said"
_MAX_SENTENCE = 500  # characters of a sentence that is taken as it is


def owners(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Traces each value to who gave it. An optional argument that nobody gave is left out, and a
    required one is missing."""
    required = required_of(tool.parameters)
    tracer = _Tracer(evidence, [v for v in draft.arguments.values() if isinstance(v, str)])
    traced: dict[str, _Traced] = {}
    # A number that was said once is not there for two arguments: the required ones come first.
    for name in sorted(draft.arguments, key=lambda name: name not in required):
        traced[name] = tracer.trace(draft.arguments[name], Parameter.of(name, tool))
    placed = [
        mine.source
        for name, mine in traced.items()
        if mine.source and _PLACE_WORDS & Parameter.of(name, tool).words
    ]
    for name, value in draft.arguments.items():
        mine = traced[name]
        implied = name in required and Parameter.of(name, tool).follows_from_place
        if mine.source is None and implied and placed and isinstance(value, str):
            mine = _Traced(value, placed[0])
        if mine.source is None:
            draft = draft.without(name, NOT_SAID)
            continue
        if mine.value != value:
            draft = draft.having(name, mine.value, mine.reason)
        if mine.typed:
            repair = Repair(name, mine.typed, value, _NEAR)
            draft = replace(draft, repairs=(*draft.repairs, repair))
        if mine.typed and name not in draft.doubtful:
            draft = replace(draft, doubtful=(*draft.doubtful, name))
        draft = replace(draft, sources={**draft.sources, name: mine.source})
    missing = [
        name
        for name in required
        if name not in draft.arguments
        and name not in draft.refused
        and "default" not in Parameter.of(name, tool).schema
    ]
    return replace(draft, missing=tuple(missing))


def _own_words(value: Any, parameter: Parameter, found: Found) -> str:
    """The user's sentence, for a text that a model has told in other words: what it puts in beside
    is made up, if only from a tool's examples. Empty where the text may stay: what only looks
    something up may search with words of its own."""
    if parameter.tool.read_only or parameter.choices or not isinstance(value, str):
        return ""
    said = found.said
    if found.support not in ("retold", "follows") or said is None or said.owner != "user":
        return ""
    if not is_retold(value, said):
        return ""
    return said.sentence_about(value)[:_MAX_SENTENCE]


def means_several(text: str) -> bool:
    """Whether the text speaks of several or all things without naming each."""
    spaced = f" {folded(text)} "
    return bool(_SEVERAL.search(spaced) or _ALL.search(spaced) or _THEM.search(spaced))


@dataclass(frozen=True, slots=True)
class _Traced:
    """What of a value holds, where it comes from (None: nowhere), and what the user typed where
    that is not quite the same."""

    value: Any
    source: Source | None = None
    typed: str = ""
    reason: str = NOT_SAID  # why it is another value than the model's


@dataclass(frozen=True)
class _Tracer:
    evidence: Evidence
    texts: list[str]  # of all arguments
    spent: Counter[int | float] = field(default_factory=Counter)

    def trace(self, value: Any, parameter: Parameter) -> _Traced:
        if isinstance(value, dict):
            return self._object(value, parameter)
        if isinstance(value, list):
            return self._list(value, parameter)
        found = self.evidence.find(value, parameter)
        if found and self._is_spent(value, found):
            found = None
        if found and found.support == "near":
            return _Traced(value, found.source, self._typed(str(value)))
        if found and (own := _own_words(value, parameter, found)):
            return _Traced(own, found.source, reason=OWN_WORDS)
        return _Traced(value, found.source if found else self._judged(value, parameter))

    def _object(self, value: Mapping[str, Any], parameter: Parameter) -> _Traced:
        required = required_of(parameter.schema)
        parts = {key: self.trace(item, parameter.inside(key)) for key, item in value.items()}
        given = next((part.source for part in parts.values() if part.source), None)
        for key, part in parts.items():  # a choice that had to be made about what was said
            if given and not part.source and key in required and parameter.inside(key).choices:
                parts[key] = replace(part, source=given)
        held = {key: part.value for key, part in parts.items() if part.source}
        sources = [part.source for part in parts.values() if part.source]
        whole = held and all(key in held for key in required if key in value)
        return _Traced(held, sources[0]) if whole else _Traced(value)

    def _list(self, value: list[Any], parameter: Parameter) -> _Traced:
        parts = [self.trace(item, parameter.item) for item in value]
        held = [part for part in parts if part.source]
        if len(held) < len(parts) and (source := self._several(parameter.name)):
            return _Traced(value, source)
        typed = next((part.typed for part in held if part.typed), "")
        return (
            _Traced([part.value for part in held], held[0].source, typed)
            if held
            else _Traced(value)
        )

    def _is_spent(self, value: Any, found: Found) -> bool:
        """Whether the number was said, and as often as it is needed already."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        said = sum(
            u.numbers[value] + (u.numbers[-value] if value else 0) for u in self.evidence.said
        )
        if found.source.owner not in ("user", "result") or found.support != "stated" or not said:
            return False
        self.spent[value] += 1
        return self.spent[value] > said

    def _judged(self, value: Any, parameter: Parameter) -> Source | None:
        """The user's last message, where the value is a judgement about it that nobody has to
        state: its priority, its category. A flag that has to be there is off by itself."""
        if not parameter.required or not self.evidence.user:
            return None
        last = self.evidence.user[0]
        if parameter.is_flag:
            return last.source() if str(value).lower() == "false" else None
        if not isinstance(value, str):
            return None
        options = [choice for choice in parameter.choices if isinstance(choice, str)]
        if any(
            naming(o, options, said) == "stated" for said in self.evidence.user for o in options
        ):
            return None  # it was not left to judgement
        language = detect(last.text)
        if parameter.is_language and language:
            named = value.lower() in (language.name.lower(), language.code)
            return last.source() if named else None
        if not parameter.judges(value):
            return None
        if parameter.is_opinion:
            return last.source()
        told = [parameter.tool.name, *(text for text in self.texts if text != value)]
        explained = {stem(word) for text in told for word in plain(text).split()}
        words = (w for w in last.sequence if w.isalpha() and w not in REQUEST_WORDS | FILLERS)
        return last.source() if any(stem(word) not in explained for word in words) else None

    def _several(self, name: str) -> Source | None:
        """Where it was said that several or all things are meant, without naming them."""
        named = {stem(word) for word in plain(name).split()}
        for said in self.evidence.user:
            every = any(stem(word) in named for word in _ALL.findall(said.spaced))
            if every or _SEVERAL.search(said.spaced):
                return said.source()
        return None

    def _typed(self, value: str) -> str:
        for said in self.evidence.said:
            typed = [w if said.has(w) else said.typo_of(w) for w in plain(value).split()]
            if all(typed):
                return " ".join(typed)
        return value
