"""The models known by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import ValidationError

from ..domain.errors import ConfigError, UnknownModelError
from .card import ModelCard


class Catalog:
    """Model cards by alias. Iterating gives them sorted by alias."""

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        """Raises ConfigError when two cards share a name."""
        self._cards: dict[str, ModelCard] = {}
        self._by_name: dict[str, ModelCard] = {}
        for card in cards:
            self._cards[card.alias] = card
            for name in {card.alias, *(name.lower() for name in card.names)}:
                if other := self._by_name.get(name):
                    raise ConfigError(
                        f"{name!r} names both {other.alias} and {card.alias} in the catalog"
                    )
                self._by_name[name] = card

    @classmethod
    def default(cls) -> Catalog:
        """The catalog that ships with edgewright."""
        return cls.load(Path(__file__).with_name("catalog.yaml"))

    @classmethod
    def load(cls, path: Path) -> Catalog:
        """The catalog in a YAML file: a mapping of alias to card.

        Raises ConfigError for a file that cannot be read or a card that does not hold.
        """
        import yaml

        try:
            entries = yaml.safe_load(path.read_text("utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"the catalog {path} cannot be read: {error}") from error
        if not isinstance(entries, dict):
            raise ConfigError(f"the catalog {path} is not a mapping of alias to card")
        cards = []
        for alias, entry in entries.items():
            if not isinstance(entry, dict):
                raise ConfigError(f"{alias!r} in the catalog {path} is not a mapping")
            try:
                cards.append(ModelCard.model_validate({"alias": alias, **entry}))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in (alias, *first["loc"]))
                raise ConfigError(f"{where} in the catalog {path}: {first['msg']}") from error
        return cls(cards)

    def find(self, name: str) -> ModelCard | None:
        """The card of that alias or other name, in any case, if there is one."""
        return self._by_name.get(name.lower())

    def get(self, name: str) -> ModelCard:
        """The card of that alias or other name, in any case. Raises UnknownModelError."""
        if card := self.find(name):
            return card
        near = difflib.get_close_matches(name.lower(), self._by_name, n=3, cutoff=0.5)
        # Several names of one model are one suggestion.
        aliases = list(dict.fromkeys(self._by_name[match].alias for match in near))
        meant = f"; did you mean {' or '.join(aliases)}?" if aliases else ""
        raise UnknownModelError(
            f"no model is called {name!r}{meant}", hint="edgewright models list"
        )

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(sorted(self._cards.values(), key=lambda card: card.alias))

    def __len__(self) -> int:
        return len(self._cards)
