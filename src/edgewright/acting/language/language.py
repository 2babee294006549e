"""Languages as data: a YAML file each, read when one is first needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, field_validator

from ...domain.errors import ConfigError
from .words import Phrases, tokens

FALLBACK = "en"  # the language of the fixed sentences where a text's language is not known
# How many of a language's own words tell it, where they are what share of a text.
_ENOUGH = ((1.5, 0.15), (1.0, 0.25), (0.5, 0.5))
_LOOKED_AT = 4000  # characters of a text by which its language is told

# The fixed sentences, and what each is told.
SENTENCES = {
    "ask_one": {"name"},
    "ask_many": {"names"},
    "ask_choice": {"name", "choices"},
    "confirm": {"action", "arguments"},
    "confirm_plain": {"action"},
    "dropped": set(),
    "no_choice": {"value", "name", "choices"},
    "can_do": {"things"},
    "not_done": set(),
    "not_known": set(),
    "failed": {"why"},
    "failed_plain": set(),
    "found": {"result"},
    "nothing_found": set(),
    "done": {"result"},
    "done_plain": set(),
    "expired": set(),
    "tool_gone": set(),
    "still_needed": {"names"},
    "greeting": set(),
    "which": {"one", "other"},
}


def _listed(text: Any) -> Any:
    """What stands between commas; "a|b c|d" is each of a and b with each of c and d."""
    if not isinstance(text, str):
        return text
    return tuple(
        " ".join(filter(None, words))
        for part in text.split(",")
        if part.strip()
        for words in product(*(word.split("|") for word in part.split()))
    )


def _forms(text: Any) -> Any:
    """What stands between commas, each with its other forms after bars."""
    if not isinstance(text, str):
        return text
    return tuple(tuple(part.strip().split("|")) for part in text.split(",") if part.strip())


Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Forms = Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_forms)]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Numbers(_Data):
    """Number words. `from_zero` are those of 0, 1, …; with `tens` (from 20 on) and `units`
    (from 1 on) the others below 100 are made by `compound`. `doubtful` ones are everyday words of
    another language, and numbers only in a text of this one."""

    decimal_comma: bool
    from_zero: Forms
    tens: Forms = ()
    units: Forms = ()
    compound: str = ""
    hundred: Listed = ()  # multiplies: "two hundred"
    hundreds: dict[int, Listed] = {}  # words of their own: "doscientos"
    large: dict[int, Listed]
    alone: dict[str, Listed]  # fractions and dozens
    and_half: Listed = ()  # after a number: "and a half"
    half_more: Listed = ()  # before it
    articles: Listed = ()
    joins: Listed = ()
    joined: bool = False  # whether number words are written as one
    counts: dict[int, Listed] = {}  # "twice"
    ordinals: Forms
    ordinal_endings: Listed = ()
    doubtful: Listed = ()
    units_of: dict[str, Listed] = {}  # words for what UNITS has the symbol of


class Dates(_Data):
    """Words of dates. `days` are days from today; a `mirrored` word means as many days back where
    a word of the `past` is in the text. `doubtful` words are everyday words of another language,
    `everyday` ones of this one."""

    months: Forms
    doubtful: Listed = ()
    everyday: Listed = ()
    joiners: Listed = ()
    suffixes: Listed = ()
    before_day: Listed = ()  # "the" in "the 3rd"
    bare_day: bool = False  # whether a number alone follows it: "el 3"
    weekdays: Forms
    days: dict[int, Listed]
    not_days: Listed = ()
    mirrored: Listed = ()
    past: Listed = ()
    next: Listed
    this: Listed
    last: Listed
    next_skips_a_week: bool  # whether "next Friday" is next week's, rather than the coming one
    ahead: Listed
    back: Listed
    spans: dict[str, Listed]

    @field_validator("months", "weekdays")
    @classmethod
    def _complete(cls, names: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(names) not in (7, 12):
            raise ValueError(f"{len(names)} names")
        return names


class Times(_Data):
    """How times of day are said. A form's {h} is an hour, its {m} minutes; its value is what is
    added to the full hour, minutes and `+m` or `-m`, or the half of the day: am, pm or night.
    The phrases of `am`, `pm` and `night` tell the half of another time in the text."""

    forms: dict[str, str | int]
    named: dict[str, Listed]
    am: Listed
    pm: Listed
    night: Listed
    not_halves: Listed = ()


class ReplyExample(_Data):
    """A reply that tells what came of a request, for the model to do likewise."""

    request: str
    call: str
    result: str
    reply: str


class Replies(_Data):
    """Phrases by which a sentence of a model's reply is judged; the longest one counts.

    `open` makes it an offer, a request or an admission, which claim nothing; `able` one that says
    what the user can do; `deed` claims one, `outcome` one without saying whose, `report` a look-up,
    and `promise` announces work that nobody does. `harmless` ones only look like these. `machinery`
    are words for calls, results and who asks. `titles` come before names.
    """

    open: Listed = ()
    able: Listed = ()
    deed: Listed = ()
    outcome: Listed = ()
    report: Listed = ()
    promise: Listed = ()
    harmless: Listed = ()
    machinery: Listed = ()
    titles: Listed = ()
    examples: tuple[ReplyExample, ...] = ()


class Language(_Data):
    """A language: what people answer, negate and count with, and what we say in it.

    `agrees` and `refuses` are followed by anything; `accepts`, `declines` and `cancels` by nothing
    but a sign, a conjunction or politeness.
    """

    capital_nouns: bool = False

    code: str
    name: str
    common: Listed
    agrees: Listed
    accepts: Listed
    refuses: Listed
    declines: Listed
    cancels: Listed
    polite: Listed
    corrects: Listed
    apologizes: Listed
    instead: Listed
    follows: Listed
    same: Listed
    other: Listed
    negates: Listed
    affirms: Listed  # what has a negation in it and negates nothing
    conjunctions: Mapping[str, Listed]
    objects: Listed
    toward: Listed
    numbers: Numbers
    dates: Dates
    times: Times
    sentences: dict[str, tuple[str, ...]]
    replies: Replies = Replies()

    @field_validator("sentences", mode="before")
    @classmethod
    def _worded(cls, sentences: dict[str, str | list[str]]) -> dict[str, tuple[str, ...]]:
        worded = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in sentences.items()}
        if worded.keys() != SENTENCES.keys():
            raise ValueError(f"not these sentences: {worded.keys() ^ SENTENCES.keys()}")
        for key, wordings in worded.items():
            for text in wordings:
                fields = {field for _, field, _, _ in Formatter().parse(text) if field}
                if fields != SENTENCES[key]:
                    raise ValueError(f"{key} takes {SENTENCES[key] or 'nothing'}, not {fields}")
        return worded

    def say(self, key: str, times: int = 1, **values: str) -> str:
        """The fixed sentence of that key with the values in it; worded differently the second and
        third time, where the file has more wordings. Raises KeyError for another key."""
        wordings = self.sentences[key]
        return wordings[min(times, len(wordings)) - 1].format(**values)

    def listed(self, items: list[str] | tuple[str, ...], last: str = "and") -> str:
        """The items as a list with `last`, "and" or "or", before the last one."""
        *first, final = items
        return f"{', '.join(first)} {self.conjunctions[last][0]} {final}" if first else final

    @property
    def telling(self) -> tuple[str, ...]:
        """The words that tell the language."""
        named = (*self.dates.months, *self.dates.weekdays, *self.numbers.from_zero)
        doubtful = {*self.dates.doubtful, *self.dates.everyday, *self.numbers.doubtful}
        firsts = (first for first, *_ in named if first not in doubtful and first.isalpha())
        return (*self.common, *firsts)


_CONJUNCTIONS = ("and", "or", "but", "then", "if")


@cache
def languages() -> dict[str, Language]:
    """The languages that there are files for, by their codes; the fallback first. Raises
    ConfigError when a file is broken."""
    files = sorted(
        Path(__file__).parent.glob("??.yaml"), key=lambda f: (f.stem != FALLBACK, f.stem)
    )
    return {file.stem: _read(file) for file in files}


def get_language(code: str | None) -> Language:
    """The language of that code, or the fallback."""
    found = languages()
    return found.get(code or FALLBACK, found[FALLBACK])


def detect(text: str) -> Language | None:
    """The language that the text is in, by its frequent words; None where no file fits, or where
    there is too little of it, as in "ok"."""
    words = [token.word for token in tokens(text[:_LOOKED_AT]) if token.word[0].isalpha()]
    scores: dict[str, float] = defaultdict(float)
    hits: dict[str, int] = defaultdict(int)
    for word in words:
        codes = _common().get(word, ())
        for code in codes:
            scores[code] += 1 / len(codes)
            hits[code] += 1
    if not scores:
        return None
    first, *others = sorted(scores, key=lambda code: -scores[code])
    share = hits[first] / len(words)
    score = scores[first]
    enough = any(score >= least and share >= part for least, part in _ENOUGH)
    clear = not others or score >= 1.3 * scores[others[0]]
    return languages().get(first) if enough and clear else None


@cache
def _common() -> dict[str, tuple[str, ...]]:
    """The languages that a word is frequent in, those without a file included."""
    found: dict[str, list[str]] = defaultdict(list)
    words = {code: language.telling for code, language in languages().items()}
    neighbours = _yaml(Path(__file__).with_name("neighbours.yaml"))
    for code, listed in [*words.items(), *neighbours.items()]:
        for word in {token.word for phrase in _listed(listed) for token in tokens(phrase)}:
            found[word].append(code)
    return {word: tuple(codes) for word, codes in found.items()}


def phrases(**lists: tuple[str, ...]) -> Phrases[str]:
    """The phrases of several lists, each with the name of its list."""
    return Phrases((phrase, name) for name, listed in lists.items() for phrase in listed)


def _read(file: Path) -> Language:
    data = _yaml(file)
    data["conjunctions"] = {key: data.pop(key, "") for key in _CONJUNCTIONS}
    try:
        return Language(code=file.stem, **data)
    except (TypeError, ValidationError) as error:
        raise ConfigError(f"The language file {file} cannot be read: {error}") from None


def _yaml(file: Path) -> dict[str, Any]:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where it is built
    data: dict[str, Any] = yaml.load(file.read_text("utf-8"), loader)  # noqa: S506 - safe, both
    return data
