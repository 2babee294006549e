"""Numbers are read in the words and signs of every language, and everyday words are none."""

from __future__ import annotations

import time

import pytest

from edgewright.acting.check.quantity import measured, number, numbers_in


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("twenty-one", 21),
        ("two hundred and five", 205),
        ("two and a half", 2.5),
        ("einundzwanzig", 21),
        ("fuenf", 5),
        ("dreissig", 30),
        ("zweihundertfünf", 205),
        ("zweitausenddreihundertfünfundvierzig", 2345),
        ("zweieinhalb", 2.5),
        ("eine Million", 1_000_000),
        ("quatre-vingt-dix", 90),
        ("quatre vingt dix-sept", 97),
        ("soixante et onze", 71),
        ("deux cents", 200),
        ("mille deux cents", 1200),
        ("vingt et un", 21),
        ("treinta y cinco", 35),
        ("veintidós", 22),
        ("ciento cinco", 105),
        ("dos mil quinientos", 2500),
        ("mil millones", 10**9),
        ("پچیس", 25),
        ("ایک سو پانچ", 105),
        ("ساڑھے تین", 3.5),
        ("تین لاکھ", 300_000),
        ("۱۲", 12),
        ("3,5", 3.5),
        ("1.200,50", 1200.5),
        ("1,200", 1200),
        ("null", None),
        ("a", None),
        ("many", None),
        ("five apples", None),
    ],
)
def test_a_number_in_words_is_read(text: str, value: float | None) -> None:
    assert number(text) == value


@pytest.mark.parametrize("code_and_count", [("en", 100), ("de", 100), ("fr", 100), ("ur", 100)])
def test_every_number_below_a_hundred_is_read_back(code_and_count: tuple[str, int]) -> None:
    from edgewright.acting.language.language import get_language

    code, count = code_and_count
    data = get_language(code).numbers
    words = {n: forms[0] for n, forms in enumerate(data.from_zero)}
    for ten, forms in enumerate(data.tens, start=2):
        words[10 * ten] = forms[0]
        for unit, digits in enumerate(data.units, start=1):
            words[10 * ten + unit] = data.compound.format(ten=forms[0], unit=digits[0])
    assert sorted(words) == [*range(count)]
    assert {n: number(word) for n, word in words.items() if word != "null"} == {
        n: n for n in words if words[n] != "null"
    }


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("Ich brauche einundzwanzig Karten und drei Getränke", [21, 3]),
        ("Stell die Heizung auf 21,5 Grad", [21.5]),
        ("Überweise bitte 1.200,50 Euro an mich", [1200.5]),
        ("am 5.12.2024", [5, 12, 2024]),
        ("Il me faut seize chaises et quatre-vingts tables", [16, 80]),
        ("مجھے پچیس کرسیاں چاہیے", [25]),
        ("Seize the day, said the elf at the DOS prompt", []),
        ("fünf", [5]),
        ("[100,200]", [100_200, 100, 200]),
        ("1,2,3", [1, 2, 3]),
        ("five and six", [5, 6]),
        ("two dozen eggs and two and a half cups", [24, 2.5]),
    ],
)
def test_the_numbers_in_a_text_are_found_in_its_language(text: str, numbers: list[float]) -> None:
    assert sorted(numbers_in(text)) == sorted(numbers)


@pytest.mark.parametrize(
    ("text", "name", "description", "value"),
    [
        ("3 Wochen", "days", "", 21),
        ("1,5 Stunden", "minutes", "", 90),
        ("2 horas", "duration", "Duration in minutes", 120),
        ("3 jours", "hours", "", 72),
        ("2 گھنٹے", "minutes", "", 120),
    ],
)
def test_a_unit_is_read_in_every_language(
    text: str, name: str, description: str, value: float
) -> None:
    found = measured(text, name, description)
    assert found is not None and found[0] == value


@pytest.mark.parametrize(
    "part", ["1,234", "5 ", "five hundred and ", "9", "a\n", "1.1", "zweihundertfünf ", "1,1,"]
)
def test_the_time_to_find_numbers_grows_with_the_text(part: str) -> None:
    def seconds(n: int) -> float:
        start = time.process_time()
        numbers_in(part * n)
        number(part * n)
        measured("5" + part * n + " " * n, "v", "in minutes")
        return time.process_time() - start

    assert seconds(20_000) < 10 * (seconds(5000) + 0.05)
