"""What we ask and say without a model: fixed sentences, filled with what a tool says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...domain.tool import ToolSpec
from ..language.language import Language, get_language

_SHORT = 6  # words of a description that can stand for a name
_SHORT_ACTION = 14
_MOST_CHOICES = 8
_MOST_THINGS = 6
_MOST_CHARACTERS = 80  # of a value that is shown
_ACRONYMS = frozenset({"id", "ids", "url", "pin", "iban", "vat", "zip", "isbn", "api", "ip"})
# What is code, a format or an example, and so is no name.
_CODE = re.compile(r"[_`{}\[\]<>|=\\;:*#\"“]|\be\.g\.|\bi\.e\.|\b(?:ISO|JSON|YYYY|HH|regex)\b|\w\(")
# "The customer's name" and "name of the customer" are the name, to the customer.
_WHOSE = re.compile(
    r"\b(?:the |a )?(?:user|customer|client|guest|caller|patient|person|member|visitor)['’]s "
    r"| of the (?:user|customer|client|guest|caller|patient|person|member|visitor)\Z",
    re.IGNORECASE,
)
_ARTICLE = re.compile(
    r"(?:the|an?|your|its|their|der|die|das|ein|eine|el|la|los|las|un|una|le|les|une) ",
    re.IGNORECASE,
)
# A description that begins so is a sentence about the parameter, and not what it is.
_SENTENCE = re.compile(
    r"(?:whether|if|how|when|which|what|where|who|set|use|used|only|optional|specif\w+|defaults?"
    r"|true|false|ob|wenn|si|must|should|is|are|can|must) ?\b",
    re.IGNORECASE,
)


def ask(
    tool: ToolSpec, missing: Sequence[str], language: Language | None = None, times: int = 1
) -> str:
    """Asks for the missing parameters; in other words the second and the third time. A parameter
    with a few choices is asked for with them."""
    language = language or get_language(None)
    names = [name_of(tool, name, language) for name in missing]
    choices = choices_of(tool, missing[0], language) if len(missing) == 1 else []
    if 1 < len(choices) <= _MOST_CHOICES:
        listed = language.listed(choices, "or")
        return language.say("ask_choice", times, name=names[0], choices=listed)
    if len(names) == 1:
        return language.say("ask_one", times, name=names[0])
    return language.say("ask_many", times, names=language.listed(names))


def confirm(
    tool: ToolSpec,
    arguments: Mapping[str, Any],
    language: Language | None = None,
    times: int = 1,
) -> str:
    """Asks for a yes before the tool is called with the arguments."""
    language = language or get_language(None)
    action = action_of(tool, language)
    told = ", ".join(
        f"{name_of(tool, name, language)}: {shown(value, language)}"
        for name, value in arguments.items()
        if value is not None
    )
    if not told:
        return language.say("confirm_plain", times, action=action)
    return language.say("confirm", times, action=action, arguments=told)


def no_choice(
    tool: ToolSpec, name: str, value: Any, language: Language | None = None, times: int = 1
) -> str:
    """Says that the value is not among the parameter's choices, and what they are."""
    language = language or get_language(None)
    choices = choices_of(tool, name, language)
    some = choices[:_MOST_CHOICES] + (["…"] if len(choices) > _MOST_CHOICES else [])
    listed = ", ".join(some) if len(choices) > _MOST_CHOICES else language.listed(some)
    return language.say(
        "no_choice",
        times,
        value=shown(value, language),
        name=name_of(tool, name, language),
        choices=listed,
    )


def can_do(tools: Sequence[ToolSpec], language: Language | None = None) -> str:
    """Says what the tools are for; without tools it greets."""
    language = language or get_language(None)
    things = [action_of(tool, language) for tool in tools[:_MOST_THINGS]]
    if not things:
        return language.say("greeting")
    more = len(tools) > _MOST_THINGS
    listed = ", ".join([*things, "…"]) if more else "; ".join(things)
    return language.say("can_do", things=listed)


def which(one: ToolSpec, other: ToolSpec, language: Language | None = None) -> str:
    """Asks which of two tools is meant."""
    language = language or get_language(None)
    return language.say("which", one=action_of(one, language), other=action_of(other, language))


def name_of(tool: ToolSpec, parameter: str, language: Language) -> str:
    """The parameter in words: what its description begins with where that is short, else its name,
    as "order ID"."""
    schema = tool.parameters.get("properties", {}).get(parameter)
    description = str(schema.get("description", "")) if isinstance(schema, dict) else ""
    sentence = _first_sentence(re.sub(r" ?\([^()]{0,200}\)", "", description[:400]))
    for text in (sentence, re.split(r"[,;:] ", sentence, maxsplit=1)[0]):
        text = _WHOSE.sub("", text)
        text = _ARTICLE.sub("", text, count=1) if _ARTICLE.match(text) else text
        if 0 < len(text.split()) <= _SHORT and not (_CODE.search(text) or _SENTENCE.match(text)):
            return _in_sentence(text, language)
    return words_of(parameter)


def action_of(tool: ToolSpec, language: Language) -> str:
    """What the tool does, in words: the first sentence of its description where that is short, else
    its name, as "cancel order"."""
    text = _first_sentence(tool.description[:400])
    if not 0 < len(text.split()) <= _SHORT_ACTION or _CODE.search(text):
        return words_of(tool.name)
    return _in_sentence(text, language)


def words_of(name: str) -> str:
    """A name in code as words: "order ID" for order_id, orderId and order-id."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    words = re.split(r"[_\-.\s]+", spaced.strip("_-. "))
    return " ".join(word.upper() if word.lower() in _ACRONYMS else word.lower() for word in words)


def choices_of(tool: ToolSpec, parameter: str, language: Language) -> list[str]:
    """The values that the parameter can have, where there are only some, as they are shown."""
    schema = tool.parameters.get("properties", {}).get(parameter)
    if not isinstance(schema, dict):
        return []
    choices = schema.get("enum")
    if schema.get("type") == "array" and isinstance(schema.get("items"), dict):
        choices = schema["items"].get("enum", choices)
    if not isinstance(choices, list):
        return []
    return [shown(choice, language) for choice in choices if choice is not None]


def shown(value: Any, language: Language) -> str:
    """The value as people write it, shortened."""
    if isinstance(value, bool):
        return yes_or_no(value, language)
    if isinstance(value, Mapping):
        text = ", ".join(
            f"{words_of(str(key))}: {shown(one, language)}" for key, one in value.items()
        )
    elif isinstance(value, list | tuple):
        text = ", ".join(shown(one, language) for one in value)
    else:
        text = " ".join(str(value).split())
        if re.fullmatch(r"[a-z]+(?:_[a-z]+)+", text):
            text = text.replace("_", " ")  # a name in code
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def yes_or_no(value: bool, language: Language) -> str:
    """The word for a flag."""
    said = (language.agrees or language.accepts, language.refuses or language.declines)
    return said[0][0] if value else said[1][0]


def _first_sentence(text: str) -> str:
    """The first sentence of a text, without its end and with single blanks."""
    text = " ".join(text.split())
    return re.split(r"[.!?۔](?: |\Z)", text, maxsplit=1)[0].strip(" .,;")


def _in_sentence(text: str, language: Language) -> str:
    """The text as it stands within a sentence. A first word keeps its capital where nouns have one,
    or where it has more than one."""
    first, _, rest = text.partition(" ")
    if not language.capital_nouns and len(first) > 1 and first[1:] == first[1:].lower():
        first = first.lower()
    return f"{first} {rest}".strip()
