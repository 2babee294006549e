"""Numbers and units as people write them: in digits, in words, with a unit."""

from __future__ import annotations

import re
from fractions import Fraction

_SMALL = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7,
    "eight": 8, "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19, "twenty": 20,
    "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90,
}  # fmt: skip
_LARGE = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_ALONE: dict[str, int | Fraction] = {"dozen": 12, "half": Fraction(1, 2), "quarter": Fraction(1, 4)}
_ORDINAL = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7,
    "eighth": 8, "ninth": 9, "tenth": 10, "eleventh": 11, "twelfth": 12,
    "once": 1, "twice": 2, "thrice": 3, "single": 1, "double": 2, "triple": 3, "pair": 2,
    "couple": 2,
}  # fmt: skip

_DIGITS = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2}(?!\d))?|\.\d+"
_NUMBER = re.compile(rf"[+-]?(?:{_DIGITS})\Z")
_IN_TEXT = re.compile(rf"(?<![\w.])-?(?:{_DIGITS})|(?<=\w)(?:{_DIGITS})|[a-z]+|[^\w\s-]")

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
    """The number that the whole text is: "1,200", "-3.5", "twenty-one", "2.5 million"."""
    words = re.sub(r"\band\b|(?<=[a-z])-", " ", text[:200].lower().replace("−", "-")).split()
    if len(words) > 1 and words[0] in ("a", "an"):
        del words[0]
    value = _value(words)
    return None if value is None else _plain(value)


def numbers_in(text: str) -> list[int | float]:
    """Every number in the text, in digits or in words, in order, as often as it is said.

    "100,200" is there as the number and as its two parts.
    """
    found: list[int | float] = []
    words: list[str] = []
    for match in [*_IN_TEXT.finditer(text.lower()), None]:
        word = match.group() if match else ""
        if word == "and" and words:
            continue
        if words and (len(words) > 12 or _value([*words, word]) is None):
            found.append(_plain(_value(words) or Fraction(0)))
            words = []
        if _value([word]) is not None:
            words.append(word)
        if word in _ORDINAL:
            found.append(_ORDINAL[word])
        if "," in word[1:]:
            found += [_plain(Fraction(part)) for part in word.split(",")]
    return found


def _value(words: list[str]) -> Fraction | None:
    """What the words are worth if they are one number and nothing else."""
    total, last = Fraction(0), 0
    part: Fraction | None = None
    for word in words:
        value = _SMALL.get(word)
        if word == "hundred" and (part or 1) < 100:
            part, last = Fraction(100) if part is None else part * 100, 100
        elif word in _LARGE:
            total, part = total + (1 if part is None else part) * _LARGE[word], None
        elif word in _ALONE and not total and (part or 1) < 1000:
            part, last = Fraction(_ALONE[word]) * (Fraction(1) if part is None else part), 1
        elif part is None and _NUMBER.match(word) and len(word) < 40:
            part, last = Fraction(word.replace(",", "")), 1
        elif value is not None and (
            part is None or last == 100 or (last in range(20, 100, 10) and 0 < value < 10)
        ):
            part, last = (part or Fraction(0)) + value, value or 1
        else:
            return None
    return total + (part or 0) if words else None


def measured(text: str, name: str, description: str) -> tuple[int | float, str] | None:
    """The number in a text like "5 km", and why, where the parameter's name and description
    leave no doubt: they name that unit or none, or one that this one turns into."""
    match = re.fullmatch(rf"\s*([+-]?(?:{_DIGITS}))\s*°?\s*([a-z]+)\s*\.?", text.lower())
    if not match or len(match[1]) > 40:
        return None
    amount, unit = Fraction(match[1].replace(",", "")), match[2]
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", f"{name} ; {description}").lower()
    words = re.findall(r"[a-z]+|;", spaced)
    if unit not in UNITS:
        return (_plain(amount), f"{unit!r} is no part of the number") if unit in words else None
    kind, factor = UNITS[unit]
    last = words[words.index(";") - 1]
    same = {word: UNITS[word][1] for word in words if UNITS.get(word, ("",))[0] == kind}
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


def _plain(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else round(float(value), 10)
