"""Languages are data: each file is complete, and a text's language is told by its words."""

from __future__ import annotations

import pytest

from edgewright.acting.language import detect, get_language, languages
from edgewright.acting.language.language import SENTENCES
from edgewright.acting.language.numbers import _words
from edgewright.acting.language.words import spellings

CODES = ["en", "de", "es", "fr", "ur"]


def test_there_is_a_file_for_each_language() -> None:
    assert [*languages()] == CODES


@pytest.mark.parametrize("code", CODES)
def test_each_fixed_sentence_can_be_said(code: str) -> None:
    for key, fields in SENTENCES.items():
        for times in (1, 2, 3, 9):
            said = get_language(code).say(key, times, **dict.fromkeys(fields, "{x}"))
            assert said and said.count("{x}") == len(fields)


@pytest.mark.parametrize("code", CODES)
def test_a_question_is_worded_differently_the_second_and_third_time(code: str) -> None:
    said = {get_language(code).say("ask_one", times, name="x") for times in (1, 2, 3)}
    assert len(said) == 3


def test_a_language_that_is_not_known_falls_back_to_english() -> None:
    assert get_language(None) == get_language("xx") == languages()["en"]


def test_no_number_word_means_different_numbers_in_two_languages() -> None:
    meant: dict[tuple[str, ...], set[object]] = {}
    for language in languages().values():
        doubtful = {words for word in language.numbers.doubtful for words in spellings(word)}
        for name, words, value in _words(language):
            if name == "parts" and words not in doubtful:
                meant.setdefault(words, set()).add(value)
    assert {words: values for words, values in meant.items() if len(values) > 1} == {}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("I would like to book a table for two", "en"),
        ("Where is my order 12345?", "en"),
        ("Hello", "en"),
        ("I'm up for a movie", "en"),  # with the French "m"
        ("Ich möchte einen Tisch für zwei Personen reservieren", "de"),
        ("Wann kommt mein Paket?", "de"),
        ("Und am Dienstag?", "de"),
        ("Quiero reservar una mesa para dos personas mañana a las ocho", "es"),
        ("¿Dónde está mi pedido 12345?", "es"),
        ("Cancela mi cita del lunes", "es"),
        ("Necesito dos mesas para once personas", "es"),
        ("Je voudrais réserver une table pour deux", "fr"),
        ("Où est ma commande ?", "fr"),
        ("Annule mon rendez-vous de lundi", "fr"),
        ("مجھے کل کے لیے ڈاکٹر سے وقت چاہیے", "ur"),
        ("میرا آرڈر کہاں ہے؟", "ur"),
    ],
)
def test_a_language_is_told_by_its_frequent_words(text: str, code: str) -> None:
    found = detect(text)
    assert found is not None and found.code == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok",
        "5",
        "👍",
        "\n" * 100,
        '{"status": null, "order_id": 12345}',
        "Eu preciso de um médico que fale inglês",  # Portuguese
        "Vorrei prenotare un tavolo per due persone",  # Italian
        "Ik wil graag een tafel reserveren voor twee",  # Dutch
        "Chcę zarezerwować stolik dla dwóch osób",  # Polish
        "أريد حجز موعد مع الطبيب",  # Arabic
        "من می خواهم یک میز رزرو کنم",  # Persian
        "こんにちは、予約したいです",
    ],
)
def test_a_text_that_no_file_fits_has_no_language(text: str) -> None:
    assert detect(text) is None
