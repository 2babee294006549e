"""Whether a sentence of a reply claims what nobody knows or did.

Pure functions of the sentence and of what was said; nothing here asks a model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ...domain.tool import ToolSpec
from ..check.words import content_words, plain, stem
from ..language.replies import is_question
from ..language.words import tokens
from .figures import figures
from .known import Known, Unknown
from .wording import Wording

# What is wrong with a sentence: it states what was not said; it speaks of calls and JSON in place
# of their outcome; it claims a deed, or promises one; it states a fact of the job; it says yes
# where the result says no.
Fault = Unknown | Literal["machinery", "deed", "job", "contradiction", "echo"]

# Code: `x`, name(…), {"key", snake_case.
_CODE = re.compile(
    r"`|\w\([^)\s]*[=\"'(]|\w\(\)|[{\[]\s*[\"'{]|\b(?!\d)\w+_\w+\b|\b[A-Z]\w*Error\b"
)

_SENTENCE = 4  # words of a sentence that nobody says after another by chance

# Words of tools that say nothing of what they are about.
_GENERIC = frozenset(
    {
        "get", "set", "list", "find", "look", "search", "show", "give", "tell", "make", "create",
        "add", "new", "update", "change", "return", "returns", "use", "used", "name", "number",
        "text", "value", "values", "type", "kind", "id", "ids", "day", "date", "time", "up", "out",
        "one", "each", "what", "which", "when", "who", "where", "how", "whether", "given", "person",
        "people", "user", "thing", "things", "many", "much", "about", "has", "have", "only", "also",
        "no", "so", "optional", "default", "e", "g", "here", "there",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Job:
    """What the tools are about, as stems of words in their names, descriptions and parameters."""

    stems: frozenset[str]

    @classmethod
    def of(cls, tools: Iterable[ToolSpec]) -> Job:
        """The job that these tools are for."""
        words: set[str] = set()
        for tool in tools:
            named = [
                tool.name,
                tool.description,
                *tool.parameters.get("properties", ()),
                *tool.examples,
            ]
            for text in named:
                words.update(content_words(str(text).replace("_", " ")))
        return cls(frozenset(stem(word) for word in words - _GENERIC if len(word) > 2))

    def in_text(self, text: str) -> bool:
        """Whether the text has a word of the job."""
        return any(stem(word) in self.stems for word in plain(text).split())


def speaks_of_machinery(sentence: str, known: Known, wording: Wording) -> bool:
    """Whether it has code in it, or a word for calls, their results and who asks that nobody else
    has said: "the function", "JSON", "the customer"."""
    if any(not known.has_text(code) for code in _CODE.findall(sentence)):
        return True
    words = [token.word for token in tokens(sentence)]
    return any(not known.has(word) for word in wording.machinery(words))


@dataclass(frozen=True, slots=True)
class WithoutResults:
    """Judges the sentences of a reply to a request for which no tool was called.

    `known` is all that was said, `instructions` what the operator said alone, `able` what the
    agent can do. About the job the reply may ask, offer, admit, say what can be done and repeat the
    instructions; apart from it, say anything but deeds.
    Where it cannot be told which (`about_job` is None: the tools are described in another
    language), it may not state what nobody said, nor turn the request into a statement.
    """

    request: str
    known: Known
    instructions: Known
    job: Job
    able: Known
    about_job: bool | None
    wording: Wording

    def fault(self, sentence: str) -> Fault | None:
        """What is wrong with the sentence, or None."""
        if parrots(sentence, self.request):
            return "echo"
        if speaks_of_machinery(sentence, self.known, self.wording):
            return "machinery"
        kinds = {kind for kind, _ in self.wording.kinds([t.word for t in tokens(sentence)])}
        if kinds & {"deed", "report", "promise"}:
            return "deed"
        if is_question(sentence) or "open" in kinds:
            return None if self.about_job is False else self.known.unknown_in(sentence)
        echoes = _echoes(sentence, self.request)
        if "outcome" in kinds and echoes:
            return "deed"
        if not self.about_job and not self.job.in_text(sentence):
            if self.about_job is False:
                return None
            return self.known.unknown_in(sentence) or ("job" if echoes else None)
        stands = repeats(sentence, self.instructions) or (
            "able" in kinds and repeats(sentence, self.able)
        )
        return None if stands and not self.known.unknown_in(sentence) else "job"


@dataclass(frozen=True, slots=True)
class WithResults:
    """Judges the sentences of a reply after calls. `known` is all that was said, the results
    included; `request` is what the user said; `results` are those of this turn, parsed, and
    `found` what is said in them. `only_read` says that no call changed anything, and `undone` are
    words for what failed."""

    known: Known
    results: Sequence[Any]
    found: Known
    only_read: bool
    undone: frozenset[str]
    wording: Wording
    request: str = ""

    def fault(self, sentence: str) -> Fault | None:
        """What is wrong with the sentence, or None."""
        if parrots(sentence, self.request):
            return "echo"
        if speaks_of_machinery(sentence, self.known, self.wording):
            return "machinery"
        if unknown := self.known.unknown_in(sentence):
            return unknown
        words = [token.word for token in tokens(sentence)]
        kinds = self.wording.kinds(words)
        if any(kind == "promise" for kind, _ in kinds):
            return "deed"
        for kind, end in kinds if self.only_read else ():
            verb = words[end] if end < len(words) else ""
            if kind in ("deed", "outcome") and not (verb and self.found.has(verb)):
                return "deed"
        if self._claims_undone(sentence):
            return "deed"
        return "contradiction" if contradicts(sentence, self.results, self.wording) else None

    def _claims_undone(self, sentence: str) -> bool:
        said = [word for word in plain(sentence).split() if not self.found.has(word)]
        return any(word.startswith(stem) for word in said for stem in self.undone) and not (
            is_question(sentence) or self.wording.denies(sentence)
        )


def parrots(sentence: str, request: str) -> bool:
    """Whether the sentence is one that the user has just said."""
    said = plain(sentence)
    return len(said.split()) >= _SENTENCE and f" {said} " in f" {plain(request)} "


def undone(failed: Iterable[str], succeeded: Iterable[str]) -> frozenset[str]:
    """Beginnings of words for what the failed tools do, and those that succeeded do not."""
    words = {word for name in failed for word in plain(name.replace("_", " ")).split()}
    words -= {word for name in succeeded for word in plain(name.replace("_", " ")).split()}
    return frozenset(stem(word) for word in words if len(word) > 3) - _GENERIC


def repeats(sentence: str, source: Known) -> bool:
    """Whether most of the sentence's words stand in the source or, as it may be in another
    language, one of its numbers does."""
    if any(source.figures.has(figure) for figure in figures(sentence)):
        return True
    content = content_words(sentence)
    return 3 * sum(source.has(word) for word in content) > 2 * len(content)


def contradicts(sentence: str, results: Sequence[Any], wording: Wording) -> bool:
    """Whether the sentence says yes where the one result is false, or speaks of a field of it that
    is true or false, and says the opposite."""
    denied = wording.denies(sentence)
    if len(results) == 1 and results[0] is False:
        return not denied
    said = {stem(word) for word in plain(sentence).split()}
    flags = _flags(results).items()
    about = [value for name, value in flags if {stem(w) for w in plain(name).split()} & said]
    return bool(about) and all(value == denied for value in about)


def _flags(value: Any) -> dict[str, bool]:
    """The fields that are true or false in the one object of the results."""
    while isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 1:
        value = value[0]
    if not isinstance(value, Mapping):
        return {}
    return {str(name): item for name, item in value.items() if isinstance(item, bool)}


def _echoes(sentence: str, request: str) -> bool:
    """Whether the sentence has most of the words of the request."""
    asked = {stem(word) for word in content_words(request)}
    said = {stem(word) for word in plain(sentence).split()}
    return bool(asked) and len(asked & said) > len(asked) / 2
