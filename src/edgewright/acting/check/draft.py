"""A call in the making, as the checks hand it on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Protocol

from ...domain.evidence import Source
from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from .evidence import Evidence

OWN_WORDS: Final = "the user's own words"  # why a value is put in another form


@dataclass(frozen=True, slots=True)
class Draft:
    """The arguments of a call that hold so far, and who gave each; what was changed in them.

    `missing` are the required arguments that nobody gave; `refused` the values that were said and
    are not among the choices, by the argument's name; `doubtful` the arguments whose value was
    mended from a near spelling, to be confirmed where the tool changes something; `unclear`: it is
    not clear that the user asks for the call.
    """

    arguments: dict[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)
    repairs: tuple[Repair, ...] = ()
    missing: tuple[str, ...] = ()
    refused: Mapping[str, Any] = field(default_factory=dict)
    doubtful: tuple[str, ...] = ()
    unclear: bool = False

    def having(self, name: str, value: Any, reason: str) -> Draft:
        """The draft with another value for an argument."""
        before = self.arguments.get(name)
        return replace(
            self,
            arguments={**self.arguments, name: value},
            repairs=(*self.repairs, Repair(name, before, value, reason)),
        )

    def without(self, name: str, reason: str) -> Draft:
        """The draft without an argument."""
        rest = {key: value for key, value in self.arguments.items() if key != name}
        repair = Repair(name, self.arguments.get(name), None, reason)
        return replace(self, arguments=rest, repairs=(*self.repairs, repair))

    def refusing(self, name: str, said: Any) -> Draft:
        """The draft without an argument, for which a value was said that is not a choice."""
        draft = self.without(name, f"{said!r} is not one of the choices")
        return replace(draft, refused={**self.refused, name: said})


class Check(Protocol):
    """Looks at a draft. May drop a value, have it asked for, or put a said one into another form;
    adds neither a call nor a value."""

    @property
    def __name__(self) -> str: ...

    def __call__(self, draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft: ...
