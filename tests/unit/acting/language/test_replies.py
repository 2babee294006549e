"""What an answer says to a question: only a plain yes is one, and nothing that is said is lost."""

from __future__ import annotations

import time

import pytest

from edgewright.acting.language import Answer, get_language, negated_clauses, reply_kind
from edgewright.acting.language.replies import follows_up

YES, NO, CANCEL = Answer("yes"), Answer("no"), Answer("cancel")


@pytest.mark.parametrize(
    "text",
    [
        "yes", "Yes.", "yes please", "Yes, please, go ahead!", "sure", "sure, why not", "ok",
        "OK, thanks!", "Do it", "of course", "👍", "that's right",
        "Yes, that sounds good to me, thanks for your help", "Yes, that would be fine.",
        "Ja, das klingt gut", "Sí, eso está bien", "Oui, c'est parfait, merci beaucoup",
        "ja", "Ja, bitte", "ja gerne", "stimmt", "Natürlich", "natuerlich", "Machen Sie das, bitte",
        "sí", "si, por favor", "Sí, adelante", "vale", "De acuerdo, gracias", "claro que sí",
        "oui", "Oui, s'il vous plaît", "d’accord", "Bien sûr, merci", "Allez-y",
        "ہاں", "جی ہاں", "جی ہاں، شکریہ", "ٹھیک ہے", "haan", "ji haan", "theek hai",
    ],
)  # fmt: skip
def test_a_yes_and_politeness_is_a_yes(text: str) -> None:
    assert reply_kind(text) == YES


@pytest.mark.parametrize(
    "text",
    [
        "no", "No, thanks", "nope", "not now", "of course not", "please don't", "I don't think so",
        "Sorry, no", "yes, no", "Yeah, no, wait", "No, that's all. Thank you so much!",
        "Nein", "nein danke", "lieber nicht", "ach nee", "Auf keinen Fall!",
        "No, gracias", "mejor no", "claro que no", "de ninguna manera",
        "non", "Non merci", "surtout pas", "pas maintenant",
        "نہیں", "جی نہیں", "نہیں، شکریہ", "nahi", "ji nahi", "mat karo",
    ],
)  # fmt: skip
def test_a_no_and_politeness_is_a_no(text: str) -> None:
    assert reply_kind(text) == NO


@pytest.mark.parametrize(
    "text",
    [
        "never mind", "Forget it.", "cancel", "Cancel, please", "stop", "I changed my mind",
        "No, forget it", "vergiss es", "Abbrechen bitte", "hat sich erledigt", "lass gut sein",
        "olvídalo", "Déjelo, gracias", "ya no hace falta", "laisse tomber", "Annuler",
        "ce n'est pas la peine", "چھوڑو", "منسوخ کریں", "rehne do", "koi baat nahi",
    ],
)  # fmt: skip
def test_what_calls_it_off_is_a_cancel(text: str) -> None:
    assert reply_kind(text).kind in ("cancel", "no") and reply_kind(text).rest == ""


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Yes please, but at 10", Answer("yes", "but at 10")),
        ("yes but at 10", Answer("yes", "but at 10")),
        ("Yes, cancel it", Answer("yes", "cancel it")),
        ("No, the other one", Answer("no", "the other one")),
        ("No, that's fine", Answer("no", "that's fine")),
        ("ja, aber um 10", Answer("yes", "aber um 10")),
        ("nein, den anderen", Answer("no", "den anderen")),
        ("Sí, pero a las diez", Answer("yes", "pero a las diez")),
        ("no, el otro", Answer("no", "el otro")),
        ("oui, mais à dix heures", Answer("yes", "mais à dix heures")),
        ("non, l'autre", Answer("no", "l'autre")),
        ("جی ہاں، لیکن دس بجے", Answer("yes", "لیکن دس بجے")),
        ("نہیں، دوسرا والا", Answer("no", "دوسرا والا")),
        ("forget it, I'll call them", Answer("cancel", "I'll call them")),
        # No sign parts them, so that the word may belong to the rest.
        ("no onions please", Answer("no", "no onions please")),
        ("No quiero eso", Answer("no", "No quiero eso")),
    ],
)
def test_what_follows_a_yes_or_no_is_kept(text: str, answer: Answer) -> None:
    assert reply_kind(text) == answer


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("I meant the other doctor", "the other doctor"),
        ("Sorry, I meant the other doctor, same time.", "the other doctor, same time."),
        ("sorry, Tuesday", "Tuesday"),
        ("make it $10", "$10"),
        ("make it -5", "-5"),
        ("No, make it Tuesday", "Tuesday"),
        ("actually Tuesday", "Tuesday"),
        ("Tuesday instead", "Tuesday instead"),
        ("the other one instead please", "the other one instead please"),
        ("Entschuldigung, ich meinte Dienstag", "Dienstag"),
        ("lieber Dienstag", "lieber Dienstag"),
        ("quise decir el martes", "el martes"),
        ("mejor el martes", "mejor el martes"),
        ("pardon, je voulais dire mardi", "mardi"),
        ("plutôt mardi", "plutôt mardi"),
        ("میرا مطلب منگل", "منگل"),
        ("mera matlab mangal", "mangal"),
    ],
)
def test_a_correction_says_what_is_right(text: str, rest: str) -> None:
    assert reply_kind(text) == Answer("correct", rest)


@pytest.mark.parametrize(
    "text",
    [
        "", "5", "please", "sorry", "good morning", "right now", "ok what about Tuesday",
        "cancel my order 5", "stop the music", "Never mind the gap", "sorry, what is the price?",
        "Actually, can we do Tuesday?", "I need an appointment", "Guten Morgen",
        "¿Qué hora es?", "Bonne journée",
    ],
)  # fmt: skip
def test_what_is_no_answer_is_none(text: str) -> None:
    assert reply_kind(text) == Answer("")


@pytest.mark.parametrize(
    ("text", "code", "answer"),
    [("ja", "de", YES), ("ok", "de", YES), ("No.", "fr", NO), ("oui", "de", Answer(""))],
)
def test_in_a_known_language_its_words_count_and_english(
    text: str, code: str, answer: Answer
) -> None:
    assert reply_kind(text, get_language(code)) == answer


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Do not delete anything", ["Do not delete anything"]),
        ("Don’t cancel my order", ["Don’t cancel my order"]),
        ("Please, do not, under any circumstances, delete it", None),
        ("I do not like Monday, book Tuesday at 9 instead", ["I do not like Monday"]),
        ("Move it, but don't cancel it", ["but don't cancel it"]),
        ("Bitte nicht löschen", None),
        ("Lösche keine Termine", None),
        ("Buche nicht den Tisch, sondern das Zimmer", ["Buche nicht den Tisch,"]),
        ("No borres nada", None),
        ("Ne supprime rien", None),
        ("N'annule pas ma commande", None),
        ("میرا آرڈر منسوخ نہ کریں", None),
        ("ڈیلیٹ مت کرو", None),
    ],
)
def test_a_clause_that_says_what_not_to_do_is_negated(text: str, clauses: list[str] | None) -> None:
    assert negated_clauses(text) == (clauses or [text])


@pytest.mark.parametrize(
    "text",
    [
        "Cancel order 5", "Don't forget to call me", "Why don't you book a table?",
        "Book table no. 5", "Couldn't you move it to 10?", "Send it no later than Monday",
        "Vergiss nicht, den Tisch zu buchen", "Storniere Bestellung 5", "Kein Problem, buche es",
        "No olvides llamarme", "¿Por qué no reservas una mesa?", "N'oublie pas d'appeler",
        "کال کرنا مت بھولنا",
    ],
)  # fmt: skip
def test_what_only_sounds_negated_is_not(text: str) -> None:
    assert negated_clauses(text) == []


@pytest.mark.parametrize("part", ["no, ", "\n", "a,b c d e,", "-'", "a.b", "yes "])
def test_the_time_for_an_answer_grows_with_its_length(part: str) -> None:
    def seconds(n: int) -> float:
        start = time.process_time()
        reply_kind(part * n)
        negated_clauses(part * n)
        return time.process_time() - start

    assert seconds(20_000) < 10 * (seconds(5000) + 0.05)


@pytest.mark.parametrize(
    ("text", "follows"),
    [
        ("And Jonas Braun?", True),
        ("what about order 8", True),
        ("Und Zimmer 208?", True),
        ("Et la chambre 208 ?", True),
        ("¿Y el lunes?", True),
        ("Who wrote Hamlet?", False),
        ("And then they all lived happily ever after, as everybody knows.", False),
        ("", False),
    ],
)
def test_a_request_that_follows_on_another(text: str, follows: bool) -> None:
    assert follows_up(text) is follows
