"""The YAML files that people write cases in; docs/testing-agents.md describes them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from ..domain.errors import ConfigError
from .conversation import Conversation
from .expect import Calls, Expected

ENDS: Final = ("reply", "question", "confirm")


class _Loader(yaml.SafeLoader):
    """YAML 1.2 as far as plain words go: `yes`, `9:30` and a date are texts."""


_Loader.yaml_implicit_resolvers = {}
for _kind, _written in {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?[0-9]+",
    "float": r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?",
}.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_written})\Z"), None
    )


def _decimal(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)  # "010" is ten, as in YAML 1.2, not eight


_Loader.add_constructor("tag:yaml.org,2002:int", _decimal)


class _Wrong(Exception):
    """A value that cannot be read; `node` is where it is."""

    def __init__(self, said: str, node: yaml.Node | None = None, hint: str = "") -> None:
        super().__init__(said)
        self.node, self.hint = node, hint


def read_cases(path: Path, tools: Sequence[str] | None = None) -> list[Conversation]:
    """The cases of a file, which may name only the given tools. Raises ConfigError, with the line,
    for a file that has a mistake."""
    try:
        text = path.read_text("utf-8")
        root = yaml.compose(text, Loader=_Loader)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", hint="Name a YAML file.") from None
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else str(path)
        said = (
            getattr(error, "problem", None) or getattr(error, "reason", None) or "nested too deep"
        )
        raise ConfigError(
            f"{where}: this is not YAML: {said}.",
            hint="Put texts with a colon, a #, a ? or quotes in them between quotes.",
        ) from None
    try:
        if not isinstance(root, yaml.SequenceNode) or not root.value:
            raise _Wrong("there is no list of cases", root, "A case is: - {id: …, say: …}")
        cases = [_case(node, tools) for node in root.value]
        lines: dict[str, int] = {}
        for node, case in zip(root.value, cases, strict=True):
            if case.id in lines:
                raise _Wrong(f"{case.id!r} is the id of line {lines[case.id]}, too", node)
            lines[case.id] = case.line
        return cases
    except _Wrong as wrong:
        line = wrong.node.start_mark.line + 1 if wrong.node else 1
        raise ConfigError(
            f"{path}, line {line}: {wrong}.", hint=wrong.hint or "See docs/testing-agents.md."
        ) from None


def _case(node: yaml.Node, tools: Sequence[str] | None) -> Conversation:
    entries = dict(_entries(node, "a case", KEYS))
    for needed in ("id", "say"):
        if needed not in entries:
            raise _Wrong(f"the case has no {needed!r}", node)

    def read(key: str, reader: Callable[[yaml.Node], Any], default: Any) -> Any:
        return reader(entries[key]) if key in entries else default

    def tool_names(node: yaml.Node) -> tuple[str, ...]:
        return tuple(_tool(_text(item), tools, item) for item in _items(node))

    calls = None
    if "calls" in entries:
        if not isinstance(entries["calls"], yaml.SequenceNode):
            raise _Wrong("calls is no list", entries["calls"], "For none, write: calls: []")
        expected = [_expected(item, tools) for item in entries["calls"].value]
        in_order, also = read("in_order", _flag, False), read("also", tool_names, ())
        calls = Calls(expected, in_order, also)
    for needless in ("in_order", "also"):
        if calls is None and needless in entries:
            raise _Wrong(f"{needless!r} means nothing without 'calls'", entries[needless])
    effects = read("effect", _texts, ())
    if ("effect" in entries) != ("equals" in entries):
        raise _Wrong("'effect' and 'equals' go together", node)
    results = read("results", _mapping, {})
    for key in results:
        _tool(key, tools, entries["results"])
    return Conversation(
        id=_text(entries["id"]),
        category=read("kind", _text, "case"),
        say=_said(entries["say"]),
        calls=calls,
        forbidden=read("forbidden", tool_names, ()),
        ends=read("ends", _endings, ()),
        reply=read("reply", lambda n: tuple(_texts(item) for item in _items(n)), ()),
        not_in_reply=read("not_in_reply", _texts, ()),
        confirm=read("answers", _answer, ""),
        results=results,
        known=read("known", _texts, ()),
        language=read("language", _text, "en"),
        desk=read("desk", _text, ""),
        effects=_paired(effects, entries.get("equals")),
        line=node.start_mark.line + 1,
    )


KEYS: Final = (
    *("id", "kind", "say", "calls", "in_order", "also", "forbidden", "ends", "reply"),
    *("not_in_reply", "answers", "results", "known", "language", "desk", "effect", "equals"),
)


def _entries(
    node: yaml.Node, what: str, keys: Sequence[str] | None = None
) -> Iterator[tuple[str, yaml.Node]]:
    """The keys of a mapping, each once and among `keys`, with their values."""
    if not isinstance(node, yaml.MappingNode):
        raise _Wrong(f"{what} is no mapping of keys to values", node)
    seen = set()
    for key, value in node.value:
        name = _text(key)
        if name in seen:
            raise _Wrong(f"{name!r} is there twice", key)
        seen.add(name)
        if keys is not None and name not in keys:
            raise _unknown(f"{what} has no {name!r}", name, keys, key)
        yield name, value


def _unknown(said: str, name: str, names: Sequence[str], node: yaml.Node) -> _Wrong:
    near = difflib.get_close_matches(name, names, n=1)
    return _Wrong(said, node, f"Did you mean {near[0]!r}?" if near else f"Use {', '.join(names)}.")


def _expected(node: yaml.Node, tools: Sequence[str] | None) -> Expected:
    if isinstance(node, yaml.ScalarNode):
        return Expected(_tool(_text(node), tools, node), {})
    named = list(_entries(node, "a call"))
    if len(named) != 1:
        raise _Wrong("a call is one tool with its arguments", node, "- find_book: {title: Dune}")
    ((name, arguments),) = named
    accepted = {}
    for argument, value in _entries(arguments, f"the arguments of {name}"):
        values = _value(value)
        if values == []:
            raise _Wrong(f"no value of {argument!r} is right", value, "For an empty list: [[]]")
        accepted[argument] = values if isinstance(values, list) else [values]
    return Expected(_tool(name, tools, node), accepted)


def _tool(name: str, tools: Sequence[str] | None, node: yaml.Node) -> str:
    if tools is not None and name not in tools:
        raise _unknown(f"the agent has no tool {name!r}", name, tools, node)
    return name


def _value(node: yaml.Node) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _Wrong(f"this cannot be read: {getattr(error, 'problem', error)}", node) from None
    finally:
        loader.dispose()


def _text(node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode) or not node.value:
        raise _Wrong("a text is missing here", node)
    return str(node.value)


def _items(node: yaml.Node) -> list[yaml.Node]:
    return list(node.value) if isinstance(node, yaml.SequenceNode) else [node]


def _texts(node: yaml.Node) -> tuple[str, ...]:
    return tuple(map(_text, _items(node)))


def _said(node: yaml.Node) -> tuple[str, ...]:
    said = _texts(node)
    if not said or not all(text.strip() for text in said):
        raise _Wrong("nothing is said", node)
    return said


def _flag(node: yaml.Node) -> bool:
    value = _value(node)
    if not isinstance(value, bool):
        raise _Wrong("this is true or false", node)
    return value


def _mapping(node: yaml.Node) -> dict[str, Any]:
    return {key: _value(value) for key, value in _entries(node, "this")}


def _endings(node: yaml.Node) -> tuple[str, ...]:
    for item in _items(node):
        if _text(item) not in ENDS:
            raise _unknown(f"a turn does not end in {_text(item)!r}", _text(item), ENDS, item)
    return _texts(node)


def _answer(node: yaml.Node) -> str:
    return _text(dict(_entries(node, "answers", ("confirm",)))["confirm"])


def _paired(effects: Sequence[str], node: yaml.Node | None) -> tuple[tuple[str, Any], ...]:
    if node is None:
        return ()
    values = [_value(node)] if len(effects) == 1 else _value(node)
    if not isinstance(values, list) or len(values) != len(effects):
        raise _Wrong(f"there are {len(effects)} effects, and not as many values", node)
    return tuple(zip(effects, values, strict=True))
