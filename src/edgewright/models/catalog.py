"""The models known by name: those that ship with edgewright, and the user's own.

The user's cards are in `home()/catalog.yaml` and in `home()/catalog.d/*.yaml`. All these files are
mappings of alias to card. A card of a name that is known already changes what it says and keeps
the rest.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from ..domain.errors import ConfigError, UnknownModelError
from .card import ModelCard
from .disk import storage_errors, write_whole
from .store import home

BUNDLED: Final = Path(__file__).with_name("catalog.yaml")
_HINT: Final = "Mend that file, or delete it."

Entries = Mapping[str, Mapping[str, Any]]
Read = TypeVar("Read")
Stamped = tuple[Path, int, int]  # a file, when it was written, its bytes


class Catalog:
    """Model cards by alias. Iterating gives them sorted by alias, in their default quantization."""

    def __init__(
        self, cards: Iterable[ModelCard], files: Mapping[str, Path] = MappingProxyType({})
    ) -> None:
        """`files` says which file an alias is from. Raises ConfigError when two cards share a
        name."""
        cards = list(cards)
        self._files = files
        self._cards = {card.alias: card for card in cards}
        self._by_name: dict[str, ModelCard] = {}
        for card in cards:
            self._add(card.alias, card)
            for name in {name.lower() for name in card.names} - {card.alias}:
                self._add(name, card)
            for other in card.all()[1:]:
                if other.alias not in self._cards:  # a card of its own goes before a variant
                    self._add(other.alias, other)
        for card in cards:  # its default quantization may be named as the others are
            self._by_name.setdefault(f"{card.alias}-{card.quantization.lower()}", card)

    def _add(self, name: str, card: ModelCard) -> None:
        if other := self._by_name.get(name):
            both = " and ".join(
                f"{alias} ({self._files[alias]})" if alias in self._files else alias
                for alias in (other.alias, card.alias)
            )
            raise ConfigError(f"{name!r} names both {both} in the catalog")
        self._by_name[name] = card

    @classmethod
    def default(cls) -> Catalog:
        """The catalog that ships with edgewright, with the user's cards added to it.

        Raises ConfigError, naming file and key, when one of the user's does not hold.
        """
        return _again(lambda: _default(tuple(_stamped(path) for path in _files())))

    @classmethod
    def load(cls, *paths: Path) -> Catalog:
        """The catalog in YAML files, of which the later change and add to the earlier.

        Raises ConfigError for a file that cannot be read or a card that does not hold.
        """
        return _merged([(path, _entries(_stamped(path))) for path in paths])

    def find(self, name: str) -> ModelCard | None:
        """The card of that alias or other name, in any case, if there is one. NAME:QUANTIZATION is
        that quantization of it."""
        name = name.lower()
        if card := self._by_name.get(name):
            return card
        name, _, label = name.rpartition(":")
        card = self._by_name.get(name)
        cards = card.all() if card else []
        return next((card for card in cards if card.quantization.lower() == label), None)

    def get(self, name: str) -> ModelCard:
        """The card of that alias or other name, as `find` does. Raises UnknownModelError."""
        if card := self.find(name):
            return card
        hint = "edgewright models list"
        if base := self.find(name.rpartition(":")[0]):
            known = ", ".join(card.quantization for card in base.all())
            raise UnknownModelError(f"{base.alias} is to be had as {known}", hint=hint)
        near = self._near(name.lower())
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UnknownModelError(f"no model is called {name!r}{meant}", hint=hint)

    def _near(self, name: str) -> list[str]:
        """The aliases that `name` is most like, if it is like any."""
        alike: dict[str, float] = {}
        for card in self:
            names = (card.alias, *(other.lower() for other in card.names))
            ratios = [difflib.SequenceMatcher(None, name, other).ratio() for other in names]
            alike[card.alias] = max(ratios)
        least = max(0.6, max(alike.values(), default=0.0) - 0.05)
        near = sorted((alias for alias in alike if alike[alias] >= least), key=lambda a: -alike[a])
        return near[:3]

    def search(self, words: Iterable[str]) -> list[ModelCard]:
        """The cards in which each of the words is part of a name, task, tier, family, licence,
        chat format or quantization, in any case."""
        wanted = [word.lower() for word in words]
        found = []
        for card in self:
            said = [card.alias, *card.names, *card.tasks, card.tier, card.family, card.licence]
            said += [card.template, *(other.quantization for other in card.all())]
            text = "\n".join(said).lower()
            if all(word in text for word in wanted):
                found.append(card)
        return found

    def all(self) -> list[ModelCard]:
        """One card for each quantization of each model."""
        cards = {other.alias: other for card in self for other in card.all()}
        return list((cards | self._cards).values())  # a card of its own goes before a variant

    def base(self, card: ModelCard) -> ModelCard:
        """The model that the card is a quantization of, ready-made or made here, by their aliases:
        in its default quantization. The card itself where it is none."""
        before = card.alias.removesuffix(f"-{card.quantization.lower()}")
        other = self.find(before) if before != card.alias else None
        if other is None or len(other.alias) >= len(card.alias):
            return card
        return self.base(other)

    def quantizations(self, card: ModelCard) -> list[ModelCard]:
        """All cards of the model that the card is a quantization of, those of its publisher first
        and then those made here."""
        base = self.base(card)
        own = [other for other in self.all() if self.base(other).alias == base.alias]
        return sorted(own, key=lambda other: other.alias in self._cards and other != base)

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(sorted(self._cards.values(), key=lambda card: card.alias))

    def __len__(self) -> int:
        return len(self._cards)


def add_card(card: ModelCard) -> Path:
    """Adds a card to the user's catalog, or changes the one of that alias; the file it is in.

    Raises ConfigError when the catalog would not hold with it, StorageReadOnlyError, DiskFullError.
    """
    import yaml

    fields = card.model_dump(mode="json", exclude_defaults=True, exclude={"alias"})
    path = home() / "catalog.d" / f"{card.alias}.yaml"
    others = _again(lambda: [(file, _entries(_stamped(file))) for file in _files() if file != path])
    _merged([*others, (path, {card.alias: fields})])  # raises where it would not hold
    with storage_errors(f"the catalog {path.parent}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        text = yaml.safe_dump({card.alias: fields}, sort_keys=False, allow_unicode=True)
        write_whole(path, text.encode())
    return path


def forget_card(alias: str) -> bool:
    """Takes away what `add_card` added; whether there was anything. Raises StorageReadOnlyError."""
    path = home() / "catalog.d" / f"{alias}.yaml"
    with storage_errors(f"the catalog {path.parent}"):
        there = path.exists()
        path.unlink(missing_ok=True)
    return there


def _files() -> list[Path]:
    own = home() / "catalog.yaml"
    more = sorted((home() / "catalog.d").glob("*.yaml"))
    return [BUNDLED, *([own] if own.exists() else []), *more]


def _again(read: Callable[[], Read]) -> Read:
    """What `read` returns, and read again where another process took a file away meanwhile."""
    for _ in range(9):
        try:
            return read()
        except ConfigError as error:
            if not isinstance(error.__cause__, FileNotFoundError):
                raise
    return read()


def _stamped(path: Path) -> Stamped:
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"the catalog {path} cannot be read: {error}", hint=_HINT) from error
    return path, status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=2)
def _default(files: tuple[Stamped, ...]) -> Catalog:
    return _merged([(file[0], _entries(file)) for file in files])


@functools.lru_cache(maxsize=64)
def _entries(file: Stamped) -> Entries:
    """The cards of a YAML file, not looked into yet. Raises ConfigError."""
    import yaml

    path = file[0]
    try:
        entries = yaml.load(path.read_text("utf-8"), _loader())  # noqa: S506, a safe one
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the catalog {path} cannot be read: {error}", hint=_HINT) from error
    entries = {} if entries is None else entries  # all of it commented out
    if not isinstance(entries, dict):
        raise ConfigError(f"the catalog {path} is not a mapping of alias to card", hint=_HINT)
    for alias, entry in entries.items():
        if not isinstance(entry, dict):
            raise ConfigError(f"{alias!r} in the catalog {path} is not a mapping", hint=_HINT)
        if "alias" in entry:
            raise ConfigError(f"{alias}.alias in the catalog {path}: the alias is {alias!r} itself")
    return entries


@functools.cache
def _loader() -> type[Any]:
    """PyYAML's safe loader, the quick one where it is there, that lets no key pass twice."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            keys = [key.value for key, _ in node.value]
            for number, key in enumerate(keys):
                if key in keys[:number]:
                    mark = node.value[number][0].start_mark
                    raise yaml.MarkedYAMLError(problem=f"{key!r} is there twice", problem_mark=mark)
            found: dict[Any, Any] = super().construct_mapping(node, deep)
            return found

    return Loader


def _merged(files: Sequence[tuple[Path, Entries]]) -> Catalog:
    """What all the files together make. Raises ConfigError, naming file and key."""
    merged: dict[str, dict[str, Any]] = {}
    origins: dict[str, Path] = {}
    for path, entries in files:
        for alias, entry in entries.items():
            merged[alias] = {**merged.get(alias, {}), **entry}
            origins[alias] = path
    cards = []
    for alias, entry in merged.items():
        try:
            cards.append(ModelCard.model_validate({**entry, "alias": alias}))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in (alias, *first["loc"]))
            said = [(path, entries[alias]) for path, entries in files if alias in entries]
            # The last file that says it, or where none does, the last that should have.
            key = first["loc"][0] if first["loc"] else ""
            path = next((p for p, entry in reversed(said) if key in entry), said[-1][0])
            raise ConfigError(
                f"{where} in the catalog {path}: {first['msg'].removeprefix('Value error, ')}",
                hint="" if path == BUNDLED else _HINT,
            ) from error
    return Catalog(cards, origins)
