"""Values that have to be one of a few, which a grammar makes a model pick even if none was said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from ...domain.repair import Repair
from ...domain.tool import ToolSpec
from .draft import Draft
from .evidence import Evidence
from .nearest import nearest
from .parameter import Parameter, parameters_of
from .support import naming
from .utterance import Utterance
from .words import content_words, folded, plain


def choices(draft: Draft, tool: ToolSpec, evidence: Evidence) -> Draft:
    """Holds each value that has to be one of a few against what was said.

    The one choice that the user said takes the place of one that nobody said. What the user said
    that is no choice is refused, not replaced by the nearest. The user's own misspelling of a
    choice is mended, and doubtful.
    """
    for parameter in parameters_of(tool):
        value = draft.arguments.get(parameter.name)
        if parameter.is_flag:
            continue
        if isinstance(value, str) and (options := _texts(parameter.choices)):
            draft = _one(draft, parameter, value, options, evidence)
        elif isinstance(value, list) and (options := _texts(parameter.item.choices)):
            draft = _several(draft, parameter, value, options, evidence)
    return draft


def _one(
    draft: Draft, parameter: Parameter, value: str, options: list[str], evidence: Evidence
) -> Draft:
    name, known = parameter.name, value in options
    evidence = replace(evidence, offers=tuple(o for o in evidence.offers if not _lists(o, options)))
    if known and _is_given(value, parameter, options, evidence):
        return draft
    others = [other for key, other in draft.arguments.items() if key != name]
    said = _only_one_named(options, evidence.user)
    if said is not None and said not in others:
        return draft.having(name, said, "the choice that was said")
    own = any(said.has(word) for said in evidence.user for word in content_words(value))
    meant = value if known else nearest(value, options) if own else None
    if meant is not None and (typed := _typed(meant, evidence.user)):
        repair = Repair(name, typed, meant, "a near spelling of the choice")
        draft = replace(draft, arguments={**draft.arguments, name: meant})
        return replace(draft, repairs=(*draft.repairs, repair), doubtful=(*draft.doubtful, name))
    if not known:
        if own and (parameter.required or not value.isdecimal()):
            return draft.refusing(name, value)
        return draft.without(name, "not one of the choices, and not said")
    return draft


def _several(
    draft: Draft, parameter: Parameter, value: list[Any], options: list[str], evidence: Evidence
) -> Draft:
    """The items of a list without those that are no choice; the first of them that was said is
    refused."""
    name = parameter.name
    strange = [item for item in value if isinstance(item, str) and item not in options]
    if not strange:
        return draft
    kept = [item for item in value if item not in strange]
    said = [item for item in strange if any(f" {plain(item)} " in u.spaced for u in evidence.user)]
    if kept:
        draft = draft.having(name, kept, "not one of the choices: left out")
    else:
        draft = draft.without(name, "not one of the choices")
    return replace(draft, refused={**draft.refused, name: said[0]}) if said else draft


def _is_given(value: str, parameter: Parameter, options: list[str], evidence: Evidence) -> bool:
    """Whether somebody gave the choice. A number may be given in words."""
    if any(naming(value, options, said) for said in evidence.said):
        return True
    found = evidence.find(value, replace(parameter, required=False))
    return found is not None and (found.source.owner != "user" or value.isdecimal())


def _lists(offer: Utterance, options: list[str]) -> bool:
    """Whether the assistant has named several of the choices, so that taking it up gives none."""
    return sum(naming(option, options, offer) == "stated" for option in options) > 1


def _only_one_named(options: list[str], user: Iterable[Utterance]) -> str | None:
    """The choice that the newest message which names any of them names, if it is only one. Not a
    number, which may have been said of anything."""
    for said in user:
        named = [option for option in options if naming(option, options, said) == "stated"]
        refused = f" {' '.join(map(folded, said.negated))} "
        named = [option for option in named if f" {folded(option)} " not in refused]
        if named:
            return named[0] if len(named) == 1 and not named[0].isdecimal() else None
    return None


def _typed(choice: str, user: Iterable[Utterance]) -> str:
    """What the user wrote that is nearly the choice, or ""."""
    for said in user:
        typed = [word if said.has(word) else said.typo_of(word) for word in plain(choice).split()]
        if all(typed) and not said.has_all(choice):
            return " ".join(typed)
    return ""


def _texts(values: list[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]
