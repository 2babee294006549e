"""Which sentences claim what nobody knows or did."""

from __future__ import annotations

from collections.abc import Sequence
from time import process_time

import pytest

from edgewright.acting.reply.grounded import Fault, Job, WithoutResults, WithResults, undone
from edgewright.acting.reply.known import Known
from edgewright.acting.reply.plain_result import parsed
from edgewright.acting.reply.wording import wording
from edgewright.domain.tool import ToolSpec


def tool(name: str, description: str, *parameters: str) -> ToolSpec:
    properties: dict[str, object] = {name: {"type": "string"} for name in parameters}
    return ToolSpec(name, description, {"type": "object", "properties": properties})


CLINIC = [
    tool("free_slots", "When a doctor is free on a day.", "doctor", "day"),
    tool("book_appointment", "Book an appointment.", "doctor", "day", "time", "name"),
]
HEATING = [
    tool("set_temperature", "Set a room's temperature in degrees Celsius.", "room", "celsius"),
    tool("read_temperature", "How warm it is in a room.", "room"),
]


def without_results(
    request: str,
    sentence: str,
    tools: Sequence[ToolSpec] = CLINIC,
    *,
    about_job: bool | None = None,
    instructions: str = "",
    code: str = "en",
) -> Fault | None:
    words, job = wording(code), Job.of(tools)
    if about_job is None and code == "en":
        about_job = job.in_text(request)
    judge = WithoutResults(
        request=request,
        known=Known([request, instructions], words),
        instructions=Known([instructions], words),
        job=job,
        able=Known([tool.description for tool in tools], words),
        about_job=about_job,
        wording=words,
    )
    return judge.fault(sentence)


def with_results(
    request: str,
    results: Sequence[str],
    sentence: str,
    code: str = "en",
    only_read: bool = False,
    failed: Sequence[str] = (),
) -> Fault | None:
    words = wording(code)
    judge = WithResults(
        known=Known([request, *results], words),
        results=[parsed(result) for result in results],
        found=Known(results, words),
        only_read=only_read,
        undone=undone(failed, ["find_order"]),
        wording=words,
    )
    return judge.fault(sentence)


# Without a call


@pytest.mark.parametrize(
    ("request_", "sentence", "code"),
    [
        ("Set the garage to 15", "I have set the garage to 15.", "en"),
        ("Set the garage to 15", "The garage is now set to 15.", "en"),
        ("Set the garage to 15", "I'm looking into it.", "en"),
        ("Set the garage to 15", "Done!", "en"),
        ("Send an email to Bob", "The email has been sent to Bob.", "en"),
        ("Is it free?", "I have checked, and it is.", "en"),
        ("Stell die Garage auf 15", "Ich habe die Garage auf 15 Grad gestellt.", "de"),
        ("Stell die Garage auf 15", "Die Garage wurde auf 15 gestellt.", "de"),
        ("Stell die Garage auf 15", "Ich kümmere mich darum.", "de"),
        ("Pon el garaje a 15", "He puesto el garaje a 15 grados.", "es"),
        ("Pon el garaje a 15", "Voy a poner el garaje a 15.", "es"),
        ("Mets le garage à 15", "J'ai mis le garage à 15 degrés.", "fr"),
        ("Mets le garage à 15", "Je vais m'en occuper.", "fr"),
        ("گیراج کو 15 پر کر دیں", "میں نے گیراج کو 15 پر کر دیا ہے۔", "ur"),
        ("گیراج کو 15 پر کر دیں", "میں دیکھ رہا ہوں۔", "ur"),
        ("گیراج کو 15 پر کر دیں", "I have set it to 15.", "ur"),
    ],
)
@pytest.mark.parametrize("about_job", [True, False])
def test_no_deed_or_promise_passes(
    request_: str, sentence: str, code: str, about_job: bool
) -> None:
    assert without_results(request_, sentence, about_job=about_job, code=code) == "deed"


@pytest.mark.parametrize(
    "sentence",
    [
        "The doctor is free on Monday.",
        "Yes, she is.",
        "Monday at 9.",
        "Dr. Weber has time in the morning.",
        "We are open on Mondays.",
    ],
)
def test_a_fact_of_the_job_does_not_pass(sentence: str) -> None:
    assert without_results("When is the doctor free on Monday?", sentence) == "job"


def test_a_fact_of_the_job_does_not_pass_on_another_subject() -> None:
    assert without_results("Hello", "Your appointment is on Monday.") == "job"


@pytest.mark.parametrize(
    "sentence",
    [
        "Which doctor do you mean?",
        "I can look that up for you.",
        "Please tell me the name of the doctor.",
        "I don't know that.",
        "I have not booked an appointment.",
    ],
)
def test_about_the_job_it_may_ask_offer_and_admit(sentence: str) -> None:
    assert without_results("When is the doctor free on Monday?", sentence) is None


def test_it_may_say_what_can_be_done_here() -> None:
    asked = "What can you do?"
    assert without_results(asked, "You can book an appointment with a doctor.") is None
    assert without_results(asked, "You can see the doctor on Monday.") == "job"
    assert without_results(asked, "An appointment with a doctor is booked.") == "job"


def test_an_offer_of_what_nobody_said_does_not_pass() -> None:
    asked = "When is the doctor free on Monday?"
    assert without_results(asked, "Would you like the slot at 10:30?") == "number"
    assert without_results(asked, "Shall I book you in with Dr. Smith?") == "name"
    assert without_results(asked, "Does Tuesday suit you?") == "date"


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ("Hello", "Hello! How can I help you?"),
        ("Thanks!", "You're welcome, have a nice evening!"),
        ("What is the capital of France?", "Paris is the capital of France."),
        ("Tell me about the Eiffel Tower", "The Eiffel Tower has been open since 1889."),
        ("How many seconds has a minute?", "A minute has sixty seconds."),
    ],
)
def test_talk_passes(request_: str, sentence: str) -> None:
    assert without_results(request_, sentence) is None


def test_what_the_operator_said_may_be_repeated() -> None:
    hours = "You work for a clinic. We are open from 9 to 17 on weekdays."
    ask = "When are you open?"
    for sentence, code in [
        ("We are open from 9 to 17 on weekdays.", "en"),
        ("Wir haben von 9 bis 17 Uhr geöffnet.", "de"),
    ]:
        assert without_results(ask, sentence, about_job=True, instructions=hours, code=code) is None
    other = "We are open from 8 to 17 on weekdays."
    assert without_results(ask, other, about_job=True, instructions=hours) == "job"


def test_where_the_subject_is_not_known_no_fact_passes() -> None:
    asked = "Wann ist der Arzt am Montag frei?"
    assert without_results(asked, "Um 9 Uhr.", code="de") == "number"
    assert without_results(asked, "Der Arzt ist am Montag frei.", code="de") == "job"
    assert without_results("Hallo", "Guten Tag, schön von Ihnen zu hören.", code="de") is None


def test_the_question_again_is_no_answer() -> None:
    assert without_results("میرا کمرہ کتنا گرم ہے؟", "میرا کمرہ کتنا گرم ہے.", code="ur") == "echo"
    assert without_results("Hello!", "Hello!") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "The function needs a doctor.",
        "You can use `free_slots` for that.",
        "Call free_slots(day='Monday').",
        'Here you are: {"day": "Monday"}',
        "This means that the customer wants a date.",
    ],
)
def test_no_sentence_about_calls_passes(sentence: str) -> None:
    assert without_results("Hello", sentence) == "machinery"


def test_a_word_for_calls_that_the_user_said_passes() -> None:
    assert without_results("What is a function?", "A function maps inputs to outputs.") is None


# After calls

ORDER = '{"status":"shipped","expected":"2026-11-25"}'


@pytest.mark.parametrize(
    ("request_", "sentence", "code"),
    [
        ("Where is 7?", "Your order 7 is shipped, and expected on November 25, 2026.", "en"),
        ("Where is 7?", "It is expected on Wednesday, 25 November.", "en"),
        ("Wo ist 7?", "Ihre Bestellung 7 wird am 25. November 2026 erwartet.", "de"),
        ("¿Dónde está el 7?", "Su pedido 7 llegará el 25 de noviembre de 2026.", "es"),
        ("Où est la 7 ?", "Votre commande 7 est attendue le 25 novembre 2026.", "fr"),
        ("آرڈر 7 کہاں ہے؟", "آپ کا آرڈر 7 روانہ ہے۔ یہ 25 نومبر 2026 کو متوقع ہے۔", "ur"),
        ("آرڈر 7 کہاں ہے؟", "آپ کا آرڈر ۷ روانہ ہے۔", "ur"),
    ],
)
def test_what_the_result_says_passes(request_: str, sentence: str, code: str) -> None:
    assert with_results(request_, [ORDER], sentence, code) is None


@pytest.mark.parametrize(
    ("sentence", "code", "fault"),
    [
        ("Your order 8 is shipped.", "en", "number"),
        ("It comes in three days.", "en", "number"),
        ("It is expected on November 26, 2026.", "en", "number"),
        ("It is expected on December 25.", "en", "date"),
        ("It is expected on Thursday.", "en", "date"),
        ("It comes tomorrow.", "en", "date"),
        ("It was shipped by Parcelforce.", "en", "name"),
        ("Its number is XY-25.", "en", "id"),
        ("Write to help@shop.example.", "en", "id"),
        ("Ihre Bestellung 8 ist unterwegs.", "de", "number"),
        ("Sie kommt in drei Tagen.", "de", "number"),
        ("Sie kommt am 25. Dezember.", "de", "date"),
        ("Sie kommt morgen.", "de", "date"),
        ("Herr Müller bringt sie.", "de", "name"),
        ("Su pedido 8 está en camino.", "es", "number"),
        ("Llega en tres días.", "es", "number"),
        ("Llega el 25 de marzo.", "es", "date"),
        ("Lo lleva Juan.", "es", "name"),
        ("Votre commande 8 est en route.", "fr", "number"),
        ("Elle arrive dans trois jours.", "fr", "number"),
        ("Elle arrive mardi.", "fr", "date"),
        ("C'est Juliette qui l'apporte.", "fr", "name"),
        ("آپ کا آرڈر ۸ روانہ ہے۔", "ur", "number"),
        ("یہ 25 مارچ 2026 کو متوقع ہے۔", "ur", "date"),
        ("یہ جمعہ کو آئے گا۔", "ur", "date"),
        ("DHL اسے لائے گا۔", "ur", "name"),
    ],
)
def test_what_nobody_said_does_not(sentence: str, code: str, fault: Fault) -> None:
    assert with_results("Where is 7?", [ORDER], sentence, code) == fault


def test_a_name_is_known_in_another_case_or_form() -> None:
    slots = '[{"doctor":"weber","room":"B4"}]'
    assert with_results("when", [slots], "You see Dr. Weber in room B4.") is None
    assert with_results("when", [slots], "It is in Weber's room.") is None
    assert with_results("when", [slots], "You see Dr. Webster.") == "name"
    assert with_results("when", [slots], "It is room C4.") == "id"


def test_numbers_in_words_and_units_are_the_same() -> None:
    weight = '{"kg":20}'
    assert with_results("set it to twenty", ["ok"], "It is at 20 degrees Celsius now.") is None
    assert with_results("how heavy", [weight], "It weighs twenty kilograms.") is None
    assert with_results("how heavy", [weight], "It weighs 20kg.") is None


@pytest.mark.parametrize(
    "sentence",
    [
        "The order_status function returned shipped.",
        "The result says that it is shipped.",
        "The customer's order is shipped.",
        "The call was successful.",
    ],
)
def test_no_result_is_told_as_one(sentence: str) -> None:
    assert with_results("Where is 7?", [ORDER], sentence) == "machinery"


def test_a_look_up_is_no_deed() -> None:
    asked = "Cancel order 7"
    for sentence in ("I have cancelled it.", "Your order 7 has been cancelled."):
        assert with_results(asked, [ORDER], sentence, only_read=True) == "deed"
        assert with_results(asked, ['{"status":"cancelled"}'], sentence) is None
    assert with_results(asked, [ORDER], "It has been shipped.", only_read=True) is None


def test_what_failed_is_not_told_as_done() -> None:
    for sentence, fault in [
        ("Your order 7 is shipped and cancelled.", "deed"),
        ("Your order 7 is not cancelled.", None),
        ("Your order 7 is shipped.", None),
    ]:
        assert with_results("cancel 7", [ORDER], sentence, failed=["cancel_order"]) == fault


def test_no_promise_passes_after_a_call() -> None:
    assert with_results("Where is 7?", [ORDER], "I will let them know.") == "deed"


@pytest.mark.parametrize(
    ("results", "wrong", "right", "code"),
    [
        (["false"], "Yes, it is free.", "No, it is not free.", "en"),
        (['{"free":false}'], "It is free.", "It is not free.", "en"),
        (['{"free":true}'], "It is not free.", "It is free.", "en"),
        (['[{"breakfast":false}]'], "Breakfast is in it.", "It is without breakfast.", "en"),
        (["false"], "Ja, das geht.", "Nein, das geht nicht.", "de"),
        (["false"], "Sí, está libre.", "No está libre.", "es"),
        (["false"], "Oui, c'est libre.", "Ce n'est pas libre.", "fr"),
        (["false"], "جی ہاں، خالی ہے۔", "جی نہیں، خالی نہیں ہے۔", "ur"),
    ],
)
def test_no_yes_to_a_no(results: list[str], wrong: str, right: str, code: str) -> None:
    assert with_results("is it?", results, wrong, code) == "contradiction"
    assert with_results("is it?", results, right, code) is None


def test_judging_takes_linear_time() -> None:
    words = wording("en")
    known = Known(["Dune 12 on 2026-11-25, " * 5000], words)
    started = process_time()
    for sentence in ("A 1,2 " * 5000, "`" * 30_000, "a_" * 15_000, "x(" * 15_000, "[ " * 15_000):
        without_results("Hello", sentence)
        known.unknown_in(sentence)
    assert process_time() - started < 5
