"""How hard a request is: judged from its words and form, against requests judged by hand."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.residency.complexity import TIERS, complexity

# The rules were written with an eye on these. Labels as mission.md M4 has the tiers.
SEEN = [
    # Questions and answers, routing, small talk
    ("simple", "Hello!"),
    ("simple", "What is the capital of France?"),
    ("simple", "Who wrote Hamlet?"),
    ("simple", "Is this message spam or not?"),
    ("simple", "Which department handles refunds?"),
    ("simple", "Route this to billing or support: my card was charged twice."),
    ("simple", "Thanks, that is all."),
    ("simple", "When do you open on Sunday?"),
    ("simple", "Translate 'good morning' into Spanish."),
    ("simple", "What does the word analysis mean?"),
    ("simple", "How many grams are in an ounce?"),
    ("simple", "Wie heißt die Hauptstadt von Frankreich?"),
    ("simple", "¿Quién escribió Don Quijote?"),
    ("simple", "法国的首都是哪里？"),
    ("simple", "ما هي عاصمة فرنسا؟"),
    # Service, scheduling: one thing done with care
    ("medium", "Where is my order 12345?"),
    ("medium", "Book a table for four on Friday at seven."),
    ("medium", "I want to change my appointment from Monday to Wednesday."),
    ("medium", "Please reset my password, my account is ann@example.com."),
    ("medium", "Cancel my subscription and refund the last payment."),
    ("medium", "Remind me to call the dentist tomorrow at nine."),
    ("medium", "Schedule a meeting with Bob and Carol next week."),
    ("medium", "My router's light is red and I have no internet. What can I do?"),
    ("medium", "Draft a short reply to this customer: the parcel was late by two days."),
    ("medium", "Open a ticket: the printer on floor 3 does not print."),
    ("medium", "Summarize this e-mail in two sentences: we moved the launch to May."),
    ("medium", "Extract the total and the date from this invoice: ACME, 3 May, 120 EUR."),
    ("medium", "Verschieben Sie bitte meinen Termin auf Mittwoch."),
    ("medium", "Réservez une table pour quatre personnes vendredi soir."),
    ("medium", "Write a Python function that reverses a string."),
    # Analysis, planning
    ("complex", "Analyze our sales of the last four quarters and find the cause of the decline."),
    ("complex", "Plan a three day trip to Rome with a budget of 400 euros."),
    ("complex", "Compare these two contracts and recommend one of them, with your reasons."),
    (
        "complex",
        "Develop a strategy to cut our energy costs by 20 % and estimate what it would save.",
    ),
    ("complex", "Evaluate the risk of my portfolio and suggest how to rebalance it."),
    ("complex", "Prove that the square root of two is irrational."),
    (
        "complex",
        "First read the log, then find the failing service, then explain why it failed, and "
        "finally propose a fix.",
    ),
    ("complex", "Think step by step: three painters need five days, how long do seven need?"),
    ("complex", "Analysiere die Umsätze und erstelle einen Plan für das nächste Quartal."),
    ("complex", "Analiza las ventas del año y propón una estrategia para aumentarlas."),
    ("complex", "分析这份销售数据，并制定下个季度的计划。"),
    ("complex", "Проанализируй продажи и составь план на следующий квартал."),
    (
        "complex",
        "Do these:\n1. list the open orders\n2. find the late ones\n3. write to each customer\n"
        "4. tell me the total value\n5. say what went wrong",
    ),
    ("simple", "Good evening"),
    ("simple", "Who is the president of Brazil?"),
    ("simple", "What time is it in Tokyo?"),
    ("simple", "Is 17 a prime number?"),
    ("simple", "Classify the sentiment: I love this phone."),
    ("simple", "Do you ship to Norway?"),
    ("simple", "What's the difference in price between the two?"),
    ("simple", "Which agent should get this: 'I forgot my PIN'?"),
    ("simple", "Spell necessary."),
    ("simple", "ok bye"),
    ("simple", "How tall is Mount Everest?"),
    ("simple", "Quelle heure est-il à Tokyo ?"),
    ("simple", "Chi ha dipinto la Gioconda?"),
    ("simple", "東京の人口は？"),
    ("simple", "भारत की राजधानी क्या है?"),
    ("medium", "I'd like to return the shoes I bought last week."),
    ("medium", "Can you move my haircut to Saturday morning?"),
    ("medium", "Has my refund for order A-77 been sent yet?"),
    ("medium", "Set up a weekly reminder to water the plants."),
    ("medium", "Please update my shipping address to 5 Elm Street."),
    ("medium", "Find a free slot for Dr. Lee on Tuesday and book it."),
    ("medium", "My washing machine shows error E18, help me fix it."),
    ("medium", "Request a refill of my prescription for ibuprofen."),
    ("medium", "Write an e-mail to the landlord about the broken heating."),
    ("medium", "Add milk and eggs to my list and order them for tonight."),
    ("medium", "Why was I charged twice this month? Please check my account."),
    ("medium", "Stornieren Sie meine Bestellung 4711 und erstatten Sie den Betrag."),
    ("medium", "Quiero cambiar mi cita del lunes al jueves."),
    ("medium", "Prenota un tavolo per due domani sera."),
    ("medium", "Fix the bug in `def add(a, b): return a - b`."),
    ("complex", "Work out a migration plan from our old database to the new one."),
    ("complex", "Assess the pros and cons of opening a second shop in Lyon."),
    ("complex", "Identify trends in the support tickets of this year and explain their causes."),
    ("complex", "Design a schedule for twelve nurses over four weeks that respects these rules."),
    ("complex", "Forecast next quarter's demand from these figures and justify your assumptions."),
    ("complex", "Should we lease or buy the van? Weigh costs, taxes and risk over five years."),
    ("complex", "Create a study plan for the exam in six weeks, two hours a day."),
    ("complex", "Diagnose why our checkout is slow and prioritise the fixes."),
    ("complex", "Bewerte die Risiken dieses Vertrags und vergleiche ihn mit dem alten."),
    ("complex", "Comparez ces trois offres et recommandez la meilleure en justifiant."),
    ("complex", "Elabora un plan de marketing para seis meses y evalúa los riesgos."),
    ("complex", "比較して、どちらの戦略が良いか理由を説明してください。"),
    (
        "complex",
        "Review the design below, find its weaknesses, suggest improvements for each, and order "
        "them by effort.",
    ),
]

# Written when the rules were done, by the same hand, and the rules not touched for them since.
UNSEEN = [
    ("simple", "hi there"),
    ("simple", "What is the boiling point of water?"),
    ("simple", "Do you accept credit cards?"),
    ("simple", "Who invented the telephone?"),
    ("simple", "Is this review positive or negative: 'never again'?"),
    ("simple", "Which team deals with broken elevators?"),
    ("simple", "How much is 15 % of 80?"),
    ("simple", "Where is the Louvre?"),
    ("simple", "Can I pay in cash?"),
    ("simple", "Give me a synonym for happy."),
    ("simple", "Wer hat die Zauberflöte komponiert?"),
    ("simple", "Combien de pattes a une araignée ?"),
    ("simple", "日本で一番高い山は何ですか？"),
    ("medium", "I lost my card, please block it and send me a new one."),
    ("medium", "Put lunch with Dana on the calendar for noon on Thursday."),
    ("medium", "My laptop does not wake up after I close the lid."),
    ("medium", "Please call me back this afternoon about my contract."),
    ("medium", "What is the status of my claim 8812?"),
    ("medium", "Turn this list into a polite message to the tenants: noise, bins, bikes."),
    ("medium", "Register Tom Bauer as a new patient, born 4 June 1980."),
    ("medium", "Forward the invoice from ACME to accounting and tell them it is urgent."),
    ("medium", "Postpone Friday's delivery until the week after."),
    ("medium", "I need a doctor's visit in the morning, not on Mondays."),
    ("medium", "Ich möchte mein Passwort zurücksetzen."),
    ("medium", "Je voudrais annuler ma commande 883 et être remboursé."),
    ("medium", "Necesito una copia de la factura de marzo."),
    (
        "complex",
        "Find out why our margin fell although sales grew, and what we should do about it.",
    ),
    ("complex", "Draw up a rota for the summer so that nobody works two weekends in a row."),
    ("complex", "Which of these four suppliers is best over ten years if prices rise by 3 %?"),
    ("complex", "Plan the move of our office to the new building, week by week."),
    ("complex", "Analyse the log and tell me what led to the outage."),
    ("complex", "Recommend a portfolio for a cautious saver and explain the trade-offs."),
    ("complex", "Compare fibre, cable and 5G for a shop with ten tills."),
    ("complex", "Outline a research project on river pollution with milestones and risks."),
    ("complex", "Estimate how many nurses we need next winter and show your reasoning."),
    ("complex", "Vergleiche die drei Angebote und begründe deine Wahl."),
    ("complex", "Planifie un voyage de dix jours au Japon avec un budget de 3000 euros."),
    ("complex", "Valuta i rischi del progetto e proponi un piano."),
    ("complex", "评估这个项目的风险并提出方案。"),
]


def test_the_requests_the_rules_were_made_for_are_judged_right() -> None:
    wrong = [text for tier, text in SEEN if complexity(text).tier != tier]
    # Taken for a question about analysis, and for a wish to have something written.
    known = {"What does the word analysis mean?", "¿Quién escribió Don Quijote?"}
    assert set(wrong) <= known


def test_eight_of_ten_requests_not_seen_before_are_judged_right() -> None:
    judged = [(TIERS.index(tier), TIERS.index(complexity(text).tier)) for tier, text in UNSEEN]
    assert sum(label == found for label, found in judged) >= 0.8 * len(judged)
    assert sum(abs(label - found) == 2 for label, found in judged) <= 1


@pytest.mark.parametrize("tier", TIERS)
def test_only_more_than_simple_work_has_reasons(tier: str) -> None:
    found = [complexity(text) for label, text in SEEN if label == tier]
    assert all(bool(judged.reasons) == (judged.tier != "simple") for judged in found)


def test_the_reason_names_the_word_that_spoke_for_it() -> None:
    judged = complexity("Analyse the sales of last year.")
    assert judged.tier == "complex"
    assert judged.reasons == ("asks for thought (analyse)",)


def test_the_plan_one_pays_for_is_no_planning() -> None:
    assert complexity("Please change my plan to the smaller one.").tier == "medium"
    assert complexity("Please plan my day.").tier == "complex"


def test_a_short_question_about_a_plan_is_less_than_making_one() -> None:
    assert complexity("What is a good strategy against churn?").tier == "medium"
    assert complexity("Develop a good strategy against churn.").tier == "complex"


def test_the_words_of_a_routing_question_do_not_make_it_work() -> None:
    assert (
        complexity("Which department handles the analysis of a cancelled order?").tier == "simple"
    )


def test_a_language_unknown_to_it_is_simple_only_while_it_is_short() -> None:
    assert complexity("Mikä on Suomen pääkaupunki?").tier == "simple"
    long = "Olen odottanut pakettia jo kaksi viikkoa enkä ole kuullut mitään keneltäkään."
    assert complexity(long).tier == "medium"
    assert complexity("กรุงเทพมหานครอยู่ที่ไหน").tier != "complex"


def test_what_is_asked_in_a_list_counts_each() -> None:
    one = complexity("Tell me:\n- the weather")
    five = complexity("Tell me:\n- the weather\n- the time\n- the date\n- the news\n- a joke")
    assert (one.tier, five.tier) == ("simple", "complex")


def test_many_tools_and_turns_make_work_harder_but_no_greeting() -> None:
    assert complexity("Hello!", tools=200, turns=50).tier == "simple"
    assert complexity("Cancel my order 7.").tier == "medium"
    assert complexity("Cancel my order 7.", tools=200, turns=50).tier == "complex"


@pytest.mark.parametrize(
    "text",
    [
        "first " * 4000,
        "\n" * 20_000,
        "`" * 20_000,
        "- " * 10_000,
        "a" * 1_000_000,
        "ﷺ" * 20_000,
        "my plan " * 3000,
        "a-" * 10_000,
        "?" * 20_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    complexity(text)
    assert time.process_time() - began < 1.0


def test_a_text_of_one_endless_word_is_not_simple() -> None:
    assert complexity("a" * 100_000).tier == "complex"


@given(st.text(max_size=300), st.integers(0, 300), st.integers(0, 300))
def test_any_text_has_a_tier_and_tools_and_turns_never_lower_it(
    text: str, tools: int, turns: int
) -> None:
    alone, with_more = complexity(text), complexity(text, tools=tools, turns=turns)
    assert TIERS.index(alone.tier) <= TIERS.index(with_more.tier)
    assert complexity(text) == alone
