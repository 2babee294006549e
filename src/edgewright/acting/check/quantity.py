"""Numbers and units as people write them: in digits, in words, with a unit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from ..language.language import detect, languages
from ..language.numbers import Part, Vocabulary, vocabulary
from ..language.words import fold

_DIGITS = (
    r"\d{1,3}(?:,\d{3})+(?:\.\d+)?"
    r"|\d{1,3}(?:\.\d{3})+,\d+"  # 1.200,50
    r"|\d{1,3}(?:[\u00a0\u202f]\d{3})+(?:,\d+)?"
    r"|(?<![\d,])\d+,\d{1,2}(?![\d,])"
    r"|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2}(?!\d))?"
    r"|\.\d+"
)
_NUMBER = re.compile(rf"[+-]?(?:{_DIGITS})\Z")
_DAY = r"(?<![\d.])\d{1,2}\.\d{1,2}\.(?:\d{4}|\d{2})?(?![\d.])"  # 5.12.2024
_LETTERS = r"[^\W\d_]+(?:[\u0300-\u036f\u064b-\u065f]+[^\W\d_]*)*"
_IN_TEXT = re.compile(
    rf"(?P<day>{_DAY})|(?<![\w.])-?(?:{_DIGITS})|(?<=\w)(?:{_DIGITS})|(?P<word>{_LETTERS})|[^\w\s-]"
)

# What one of the unit is of the first unit of its kind.
_KINDS: dict[str, dict[str, str]] = {
    "length": {
        "1": "m meter metre meters metres",
        "1000": "km kilometer kilometre kilometers kilometres",
        "0.01": "cm centimeter centimetre centimeters centimetres",
        "0.001": "mm millimeter millimetre millimeters millimetres",
        "1609.344": "mi mile miles",
        "0.9144": "yd yard yards",
        "0.3048": "ft foot feet",
        "0.0254": "inch inches",
    },
    "mass": {
        "1": "g gram grams gramme grammes",
        "1000": "kg kilo kilos kilogram kilograms",
        "0.001": "mg milligram milligrams",
        "1000000": "tonne tonnes",
        "453.59237": "lb lbs pound pounds",
        "28.349523125": "oz ounce ounces",
    },
    "time": {
        "1": "s sec secs second seconds",
        "0.001": "ms millisecond milliseconds",
        "60": "min mins minute minutes",
        "3600": "h hr hrs hour hours",
        "86400": "day days",
        "604800": "week weeks",
    },
    "data": {
        "1": "byte bytes",
        "1000": "kb kilobyte kilobytes",
        "1000000": "mb megabyte megabytes",
        "1000000000": "gb gigabyte gigabytes",
        "1000000000000": "tb terabyte terabytes",
        "1024": "kib kibibyte kibibytes",
        "1048576": "mib mebibyte mebibytes",
        "1073741824": "gib gibibyte gibibytes",
    },
    "temperature": {"1": "c celsius centigrade", "0": "f fahrenheit"},
}
UNITS = {
    word: (kind, Fraction(factor))
    for kind, units in _KINDS.items()
    for factor, words in units.items()
    for word in words.split()
}
# Words that mean something else more often: they name a unit only at the end of "duration_min".
_UNSURE = {"second", "foot", "mi", "minute"} | {word for word in UNITS if len(word) < 4}


def number(text: str) -> int | float | None:
    """The number that the whole text is: "1,200", "-3.5", "3,5", "twenty-one", "2.5 million", in
    the words of any language."""
    if text.strip().lower() == "null":
        return None  # which is JSON's rather than German
    words = re.sub(r"(?<=[^\W\d_])-", " ", text[:200].replace("−", "-")).split()
    words = [fold(word) if word.isalpha() else word for word in words]
    known = vocabulary(doubtful=True)
    if len(words) > 1 and known.articles.at(words, 0):
        del words[0]
    found = _read(words, 0, known)
    return _plain(found[0]) if found and found[1] == len(words) else None


def numbers_in(text: str) -> list[int | float]:
    """Every number in the text, in digits or in the words of any language, in order, as often as it
    is said.

    What could be read in two ways is there in both: "100,200" as the number and as its two parts.
    """
    return [_plain(value) for line in text.split("\n") for value in _numbers_in(line)]


def _numbers_in(line: str) -> list[Fraction]:
    found: list[Fraction] = []
    words: list[str] = []
    for match in _IN_TEXT.finditer(line):
        if match["day"]:
            found += [Fraction(part) for part in match["day"].split(".") if part]
            if match["day"].endswith("."):  # or it is "7.8" at the end of a sentence
                found.append(Fraction(match["day"][:-1]))
        else:
            words.append(fold(match.group()) if match["word"] else match.group())
    if not words:
        return found
    language = detect(line)
    known = vocabulary(language.code if language else None)
    comma = language.numbers.decimal_comma if language else None
    at = 0
    while at < len(words):
        number = _read(words, at, known, comma)
        for word in words[at : number[1] if number else at + 1]:
            found += _other_readings(word, comma)
        for counted in (known.ordinals.at(words, at), known.counts.at(words, at)):
            found += [Fraction(counted[0])] if counted else []
        if number:
            found.append(number[0])
        at = number[1] if number else at + 1
    return found


def _read(
    words: Sequence[str], at: int, known: Vocabulary, comma: bool | None = None
) -> tuple[Fraction, int] | None:
    """The longest number that starts there, and where it ends."""
    number = _Number()
    read: tuple[Fraction, int] | None = None
    while at < len(words):
        if _NUMBER.match(words[at]) and len(words[at]) < 40:
            taken, at = number.digits(_digits(words[at], comma)), at + 1
        else:
            found = known.at(words, at)
            if not found or not all(number.add(part) for part in found[0]):
                break
            at = found[1]
            if found[0][-1].kind in ("join", "half_more"):
                continue  # which belong to the number only with what follows
            taken = True
        if not taken:
            break
        read = number.value, at
    return read


class _Number:
    """A number that is read word by word."""

    def __init__(self) -> None:
        self._total = Fraction(0)
        self._part: Fraction | None = None  # of what is not multiplied yet
        self._open = False  # whether units may follow, as after a hundred
        self._half = False
        self.begun = False

    @property
    def value(self) -> Fraction:
        return self._total + (self._part or 0)

    def digits(self, value: Fraction) -> bool:
        """Adds digits; False where they begin another number."""
        return self._part is None and self._took(value)

    def add(self, part: Part) -> bool:
        """Adds a number word; False where it begins another number, or is none."""
        value, before = part.value, self._part
        match part.kind:
            case "small" if before is None or self._open:
                half, self._half = Fraction(int(self._half), 2), False
                return self._took((before or 0) + value + half)
            case "hundreds" if before is None:
                return self._took(value, still_open=True)
            case "hundred" if (before or 1) < 100:
                return self._took(value * (1 if before is None else before), still_open=True)
            case "large" if before is not None or not self._total:
                self._total += value * (1 if before is None else before)
                self._part, self._open, self.begun = None, False, True
                return True
            case "large" if value > self._total:  # "mil millones"
                self._total *= value
                return True
            case "alone" if not self._total and (before or 1) < 1000:
                return self._took(value * (1 if before is None else before))
            case "half" if before is not None and before.denominator == 1:
                return self._took(before + value)
            case "half_more" if not self.begun and not self._half:
                self._half = True
                return True
            case "join":
                return self.begun
        return False

    def _took(self, part: Fraction, still_open: bool = False) -> bool:
        self._part, self._open, self.begun = part, still_open, True
        return True


def _digits(word: str, comma: bool | None) -> Fraction:
    """What digits are worth, with a decimal comma where there is one or where nothing else is
    possible."""
    word = re.sub("[\u00a0\u202f]", "", word)
    if re.fullmatch(r"[+-]?[\d.]+,\d+", word) and ("." in word or comma):
        return Fraction(word.replace(".", "").replace(",", "."))
    if re.fullmatch(r"[+-]?\d+,\d{1,2}", word):
        return Fraction(word.replace(",", "."))
    return Fraction(word.replace(",", ""))


def _other_readings(word: str, comma: bool | None) -> list[Fraction]:
    """What else digits with a comma or dots can mean: "100,200" two numbers, "1.200" 1200."""
    if comma and re.fullmatch(r"-?\d{1,3}(?:\.\d{3})+", word):
        return [Fraction(word.replace(".", ""))]
    if "," in word[1:] and not comma and not re.search(r"\.\d+,", word):
        return [Fraction(part) for part in word.split(",")]
    return []


def measured(text: str, name: str, description: str) -> tuple[int | float, str] | None:
    """The number in a text like "5 km", and why, where the parameter's name and description
    leave no doubt: they name that unit or none, or one that this one turns into."""
    match = re.fullmatch(
        rf"([+-]?(?:{_DIGITS})) ?°? ?({_LETTERS}) ?\.?", " ".join(text[:200].lower().split())
    )
    if not match or len(match[1]) > 40:
        return None
    amount, unit = _digits(match[1], None), match[2]
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", f"{name} ; {description}").lower()
    words = re.findall(rf"{_LETTERS}|;", spaced)
    found = unit_of(unit)
    if found is None:
        return (_plain(amount), f"{unit!r} is no part of the number") if unit in words else None
    kind, factor = found
    last = words[words.index(";") - 1]
    same = {word: of[1] for word in words if (of := unit_of(word)) and of[0] == kind}
    wanted = {factor for word, factor in same.items() if word == last or word not in _UNSURE}
    if {*same.values()} <= {factor}:
        return _plain(amount), f"the unit {unit!r} is no part of the number"
    if len(wanted) != 1:
        return None
    if kind == "temperature":
        amount = amount * 9 / 5 + 32 if factor else (amount - 32) * 5 / 9
    else:
        amount = amount * factor / wanted.pop()
    return _plain(amount), f"converted from {unit!r}"


def unit_of(word: str) -> tuple[str, Fraction] | None:
    """The kind of the unit that the word names in any language, and what one is of the first unit
    of its kind; None for another word."""
    return UNITS.get(word.lower()) or _units().get(fold(word))


@cache
def _units() -> dict[str, tuple[str, Fraction]]:
    return {
        fold(word): UNITS[symbol]
        for language in languages().values()
        for symbol, words in language.numbers.units_of.items()
        for word in words
    }


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else round(float(value), 10)
