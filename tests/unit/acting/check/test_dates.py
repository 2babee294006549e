"""Days and times of day are read as people of each language say them."""

from __future__ import annotations

import time as clock
from datetime import date, time

import pytest

from edgewright.acting.check.dates import (
    dates_in,
    days_in,
    months_in,
    read_date,
    rewritten,
    spans_in,
    times_in,
)

TODAY = date(2026, 11, 25)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "said", "day"),
    [
        ("Come tomorrow", "tomorrow", "2026-11-26"),
        ("the day after tomorrow at 9", "day after tomorrow", "2026-11-27"),
        ("on Tuesday", "Tuesday", "2026-12-01"),
        ("on Wednesday", "Wednesday", "2026-12-02"),  # not today
        ("this Friday", "this Friday", "2026-11-27"),
        ("next Friday", "next Friday", "2026-12-04"),
        ("last Friday", "last Friday", "2026-11-20"),
        ("Friday next week", "Friday next week", "2026-12-04"),
        ("in two weeks", "in two weeks", "2026-12-09"),
        ("3 days ago", "3 days ago", "2026-11-22"),
        ("the 3rd of May", "3rd of May", "2027-05-03"),
        ("March 10th", "March 10th", "2027-03-10"),
        ("Monday, May 5 at 3pm", "Monday, May 5", "2027-05-05"),
        ("November 25", "November 25", "2026-11-25"),
        ("Feb 29", "Feb 29", "2028-02-29"),
        ("on the 6th at 9", "6th", "2026-12-06"),
        ("the 10th of next month", "10th of next month", "2026-12-10"),
        ("Ich komme am 3. um 9", "3.", "2026-12-03"),
        ("Quiero el 3 a las 9", "3", "2026-12-03"),
        ("heute Morgen", "heute Morgen", "2026-11-25"),
        ("Morgen um 9", "Morgen", "2026-11-26"),
        ("uebermorgen", "uebermorgen", "2026-11-27"),
        ("am Dienstag", "Dienstag", "2026-12-01"),
        ("nächsten Freitag", "nächsten Freitag", "2026-11-27"),
        ("nächste Woche am Freitag", "nächste Woche am Freitag", "2026-12-04"),
        ("am 3. Mai", "3. Mai", "2027-05-03"),
        ("am dritten Mai", "dritten Mai", "2027-05-03"),
        ("Ich komme am 5.12. um neun", "5.12.", "2026-12-05"),
        ("in drei Tagen", "in drei Tagen", "2026-11-28"),
        ("mañana por la mañana", "mañana por la mañana", "2026-11-26"),
        ("pasado mañana", "pasado mañana", "2026-11-27"),
        ("el viernes que viene", "viernes que viene", "2026-11-27"),
        ("el próximo viernes", "próximo viernes", "2026-11-27"),
        ("el lunes pasado", "lunes pasado", "2026-11-23"),
        ("cinco de mayo", "cinco de mayo", "2027-05-05"),
        ("hace dos semanas", "hace dos semanas", "2026-11-11"),
        ("après-demain", "après-demain", "2026-11-27"),
        ("aujourd’hui", "aujourd’hui", "2026-11-25"),
        ("lundi prochain", "lundi prochain", "2026-11-30"),
        ("le 1er mars", "1er mars", "2027-03-01"),
        ("Je suis venu hier", "hier", "2026-11-24"),
        ("il y a deux semaines", "il y a deux semaines", "2026-11-11"),
        ("مجھے کل کے لیے وقت چاہیے", "کل", "2026-11-26"),
        ("کل میرا آرڈر کہاں تھا", "کل", "2026-11-24"),  # with a verb in the past
        ("اگلے جمعے کو", "اگلے جمعے", "2026-11-27"),
        ("پانچ مئی", "پانچ مئی", "2027-05-05"),
        ("تین دن پہلے", "تین دن پہلے", "2026-11-22"),
    ],
)
def test_a_day_without_a_year_is_counted_from_today(text: str, said: str, day: str) -> None:
    assert days_in(text, TODAY) == {said: date.fromisoformat(day)}


@pytest.mark.parametrize(
    "text",
    [
        "I may book 5 tables",
        "may 5 people come",
        "Ich bin hier, bitte",  # French for yesterday
        "Guten Morgen",
        "a las 9 de la mañana",
        "the 5th floor on Main Street",
        "next week",
        "the 5th of May 2027",
    ],
)
def test_what_names_no_day_or_one_with_its_year_is_not_relative(text: str) -> None:
    assert days_in(text, TODAY) == {}


def test_a_week_is_a_span_of_days() -> None:
    week = {"next week": (date(2026, 11, 30), date(2026, 12, 6))}
    assert spans_in("Some time next week", TODAY) == week
    assert spans_in("la semaine prochaine", TODAY) == {"semaine prochaine": week["next week"]}
    assert spans_in("nächsten Monat", TODAY) == {
        "nächsten Monat": (date(2026, 12, 1), date(2026, 12, 31))
    }


@pytest.mark.parametrize(
    "text",
    [
        "March 5, 2024", "5 March 2024", "Tuesday, the 5th of March 2024", "2024-03-05",
        "5.3.2024", "5. März 2024", "Dienstag, den 5. März 2024", "5 de marzo de 2024",
        "mardi 5 mars 2024", "5 مارچ 2024",
    ],
)  # fmt: skip
def test_a_date_with_its_year_is_read(text: str) -> None:
    assert read_date(text) == date(2024, 3, 5)
    assert dates_in(f"Come on {text}, please") == {date(2024, 3, 5)}


def test_a_date_without_its_year_is_read_only_from_a_day_on() -> None:
    assert read_date("March 5") is None
    assert read_date("March 5", TODAY) == date(2027, 3, 5)


def test_months_are_found_but_not_in_everyday_words() -> None:
    assert months_in("in May and märz, or en enero") == {5, 3, 1}
    assert months_in("I may march on") == set()


@pytest.mark.parametrize(
    ("text", "said", "moment"),
    [
        ("half past six", "half past six", "06:30"),
        ("half past six in the evening", "half past six in the evening", "18:30"),
        ("6:30 pm", "6:30 pm", "18:30"),
        ("12:05 a.m.", "12:05 a.m.", "00:05"),
        ("quarter to seven", "quarter to seven", "06:45"),
        ("ten past six", "ten past six", "06:10"),
        ("at six thirty", "at six thirty", "06:30"),
        ("at 9 tomorrow", "at 9", "09:00"),
        ("a table for 4 tonight at 8", "tonight at 8", "20:00"),
        ("noon", "noon", "12:00"),
        ("Good morning, lunch at 12", "at 12", "12:00"),
        ("at evening 6:30", "evening 6:30", "18:30"),
        ("um halb sieben", "halb sieben", "06:30"),
        ("fünf vor halb sieben", "fünf vor halb sieben", "06:25"),
        ("um 9", "um 9", "09:00"),
        ("9 Uhr 30", "9 Uhr 30", "09:30"),
        ("18.30 Uhr", "18.30 Uhr", "18:30"),
        ("Viertel nach sechs abends", "Viertel nach sechs abends", "18:15"),
        ("a las seis y media", "a las seis y media", "06:30"),
        ("a las siete menos cuarto", "a las siete menos cuarto", "06:45"),
        ("a las 6 de la tarde", "a las 6 de la tarde", "18:00"),
        ("a la una", "a la una", "01:00"),
        ("18h30", "18h30", "18:30"),
        ("six heures et demie", "six heures et demie", "06:30"),
        ("sept heures moins le quart", "sept heures moins le quart", "06:45"),
        ("à neuf heures du soir", "à neuf heures du soir", "21:00"),
        ("صبح نو بجے", "صبح نو بجے", "09:00"),
        ("ساڑھے چھ بجے شام", "ساڑھے چھ بجے شام", "18:30"),
        ("ڈیڑھ بجے", "ڈیڑھ بجے", "01:30"),
        ("رات 12 بجے", "رات 12 بجے", "00:00"),
    ],
)
def test_a_time_of_day_is_read(text: str, said: str, moment: str) -> None:
    assert times_in(text) == {said: time.fromisoformat(moment)}


@pytest.mark.parametrize(
    "text",
    [
        "at 9 Main Street", "at 9.5", "from 9 to 5", "5 to 6 people", "pendant 9 heures",
        "a table for 4 in the evening", "half of it", "Tisch für 4 am Montag",
    ],
)  # fmt: skip
def test_a_number_that_is_no_time_is_none(text: str) -> None:
    assert times_in(text) == {}


def test_a_time_in_words_is_written_as_the_format_wants() -> None:
    assert rewritten("half past six", "time") == "06:30:00"
    assert rewritten("5. März 2024, 18:30", "date-time") == "2024-03-05T18:30:00"


@pytest.mark.parametrize("part", ["at 9 ", "5 may ", "next week ", "9:30:", "de ", "5.", "\n"])
def test_the_time_to_find_days_grows_with_the_text(part: str) -> None:
    def seconds(n: int) -> float:
        start = clock.process_time()
        days_in(part * n, TODAY)
        times_in(part * n)
        dates_in(part * n)
        return clock.process_time() - start

    assert seconds(8000) < 10 * (seconds(2000) + 0.05)
