"""The few tools of many that a request is about."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from edgewright.acting.propose import retrieval
from edgewright.acting.propose.retrieval import EMBEDDED, Retriever
from edgewright.domain.errors import EngineError
from edgewright.domain.tool import ToolSpec
from edgewright.engines.llama_cpp import LlamaCppEngine

pytestmark = pytest.mark.anyio


def spec(name: str, description: str = "", **parameters: Any) -> ToolSpec:
    properties = {key: {"description": text} for key, text in parameters.items()}
    return ToolSpec(name, description, {"type": "object", "properties": properties})


TOOLS = [
    spec("getWeatherForecast", "Get the forecast for the coming days", city="name of the city"),
    spec("convert_currency", "Convert an amount of money", amount="", source="", target=""),
    spec("orders.list", "All orders of a customer", customer_id="the customer's number"),
    spec("cancel-booking", "Cancel a booking", reference="such as AB12"),
    spec("triangle_area", "Compute the area of a triangle", base="", height=""),
    spec("play_music", "Play a song", title="", loudness="how loud, from 0 to 10"),
]


class Meaning:
    """An embedding in which a text points where the first of `axes` found in it points."""

    def __init__(self, *axes: str) -> None:
        self.axes = axes
        self.asked: list[str] = []

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        self.asked += texts
        return [self._vector(text.lower()) for text in texts]

    def _vector(self, text: str) -> list[float]:
        first = next((axis for axis in self.axes if any(w in text for w in axis.split("|"))), "")
        vector = [float(axis == first) for axis in (*self.axes, "")]
        return [x / math.hypot(*vector) for x in vector]


async def first(tools: Sequence[ToolSpec], text: str) -> str:
    return (await Retriever().top(tools, text, 1))[0].name


# By words.


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("What will the WEATHER be?", "getWeatherForecast"),  # a part of its name
        ("Compute areas of triangles", "triangle_area"),
        ("converting some currencies", "convert_currency"),
        ("the customer's newest order", "orders.list"),
        ("I have two bookings to be cancelled", "cancel-booking"),
        ("not so loud please", "play_music"),  # a parameter's description
        ("Which height?", "triangle_area"),  # a parameter's name
        ("cancél my bóoking", "cancel-booking"),
    ],
)
async def test_words_lead_to_the_tool_however_they_are_written(text: str, name: str) -> None:
    assert await first(TOOLS, text) == name


@pytest.mark.parametrize(
    ("text", "right", "wrong"),
    [
        ("北京明天的天气怎么样", "查询一个城市的天气", "取消酒店的预订"),
        ("明日の東京の天気は？", "都市の天気を調べる", "ホテルの予約を取り消す"),
        ("내일 서울 날씨 알려줘", "도시의 날씨를 조회", "호텔 예약을 취소"),
        ("พรุ่งนี้อากาศเป็นอย่างไร", "ดูสภาพอากาศของเมือง", "ยกเลิกการจองโรงแรม"),
        ("कल दिल्ली का मौसम कैसा रहेगा", "शहर का मौसम बताता है", "होटल की बुकिंग रद्द करता है"),
        ("كيف الطقسُ غدًا في القاهرة؟", "يعرض الطقس في مدينة", "يلغي حجز فندق"),
        ("מה מֶּזֶג האוויר מחר בחיפה?", "מציג את מזג האוויר בעיר", "מבטל הזמנה במלון"),
        ("Какая погода завтра?", "Показывает погода в городе", "Отменяет бронь в отеле"),
        ("Wie wird das WETTER in Gießen?", "Das Wetter in GIESSEN", "Storniert ein Hotel"),
    ],
)
async def test_words_of_any_script_are_found(text: str, right: str, wrong: str) -> None:
    tools = [spec("a", wrong), spec("b", right), spec("c", "Something else")]
    assert await first(tools, text) == "b"


async def test_a_rare_word_says_more_than_common_ones() -> None:
    tools = [spec(f"get_the_{n}", "Get the thing for the user") for n in range(9)]
    tools.append(spec("thermostat"))
    assert await first(tools, "get the thermostat for the user") == "thermostat"


async def test_parameters_within_parameters_count() -> None:
    inner = {"type": "object", "properties": {"allergies": {"type": "string"}}}
    nested = {"type": "object", "properties": {"guests": {"type": "array", "items": inner}}}
    tools = [spec("pay"), ToolSpec("book", "", nested)]
    assert await first(tools, "my allergy") == "book"


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"properties": True},
        {"properties": {"a": True, "b": {"description": 3}}},
        {"properties": None},
    ],
)
async def test_a_schema_that_says_nothing_is_no_obstacle(parameters: dict[str, Any]) -> None:
    odd = ToolSpec("lamp", "", parameters)
    assert await first([spec("pay"), odd], "the lamp") == "lamp"


async def test_a_schema_without_an_end_is_read_so_far() -> None:
    endless: dict[str, Any] = {"properties": {}}
    endless["properties"]["child"] = endless
    assert await first([spec("pay"), ToolSpec("tree", "", endless)], "a child") == "tree"


# What comes back.


@pytest.mark.parametrize("text", ["", "   ", "???", "zzz"])
async def test_equals_come_in_the_order_given(text: str) -> None:
    assert await Retriever().top(TOOLS, text, 99) == TOOLS


async def test_k_tools_come_back_the_best_first() -> None:
    top = await Retriever().top(TOOLS, "cancel my booking and play a song", 2)
    assert {tool.name for tool in top} == {"cancel-booking", "play_music"}
    assert await Retriever().top(TOOLS, "cancel my booking and play a song", 1) == top[:1]
    assert await Retriever().top([], "cancel", 3) == []


@pytest.mark.parametrize("k", [0, -1])
async def test_fewer_than_one_tool_cannot_be_asked_for(k: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await Retriever().top(TOOLS, "cancel", k)


async def test_the_ranking_is_the_same_each_time_and_for_any_order_of_the_tools() -> None:
    retriever, text = Retriever(), "cancel the order of the customer and convert the currency"
    ranked = await retriever.top(TOOLS, text, 4)
    for seed in range(5):
        shuffled = random.Random(seed).sample(TOOLS, len(TOOLS))
        assert await retriever.top(shuffled, text, 4) == ranked


# By meaning.


async def test_meaning_finds_what_no_word_does() -> None:
    retriever = Retriever(Meaning("weather|umbrella", "money|dollars"))
    assert (await retriever.top(TOOLS, "Do I need an umbrella?", 1))[0].name == "getWeatherForecast"
    assert (await retriever.top(TOOLS, "5 dollars", 1))[0].name == "convert_currency"


async def test_words_decide_between_tools_of_like_meaning() -> None:
    tools = [spec(f"lamp_{room}", "Switch a light") for room in ("hall", "kitchen", "attic")]
    retriever = Retriever(Meaning("light|dark", "money"))
    assert (await retriever.top(tools, "It is dark in the kitchen", 1))[0].name == "lamp_kitchen"


async def test_a_tool_is_embedded_once_until_it_changes() -> None:
    meaning = Meaning("weather")
    retriever = Retriever(meaning)
    await retriever.top(TOOLS, "one", 1)
    assert len(meaning.asked) == 1 + len(TOOLS)
    again = [ToolSpec(tool.name, tool.description, dict(tool.parameters)) for tool in TOOLS]
    await retriever.top(again, "two", 1)
    assert meaning.asked[1 + len(TOOLS) :] == ["two"]
    await retriever.top([spec("play_music", "Now it is another"), *TOOLS[:2]], "three", 1)
    assert meaning.asked[-2:] == ["three", "play music: Now it is another"]


async def test_the_tools_used_least_recently_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "KEPT", 4)
    meaning = Meaning("weather")
    retriever = Retriever(meaning)
    await retriever.top(TOOLS[:3], "one", 1)
    await retriever.top(TOOLS[3:5], "two", 1)  # the first is forgotten
    asked = len(meaning.asked)
    await retriever.top(TOOLS[1:3], "three", 1)
    assert meaning.asked[asked:] == ["three"]
    await retriever.top(TOOLS[:1], "four", 1)
    assert len(meaning.asked) == asked + 3


async def test_more_tools_than_are_kept_are_still_embedded_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retrieval, "KEPT", 4)
    meaning = Meaning("weather")
    retriever = Retriever(meaning)
    await retriever.top(TOOLS, "one", 1)
    await retriever.top(TOOLS, "two", 1)
    assert len(meaning.asked) == len(TOOLS) + 2


async def test_a_long_request_is_embedded_by_its_beginning_and_its_end() -> None:
    meaning = Meaning("umbrella")
    tools = [spec("pay", "Pay " * 1000), spec("rain", "umbrella")]
    filler = "and so on " * 100_000
    for text in (f"an umbrella {filler}", f"{filler} an umbrella"):
        assert (await Retriever(meaning).top(tools, text, 1))[0].name == "rain"
    assert max(map(len, meaning.asked)) == EMBEDDED


async def test_an_embedding_that_fails_is_not_hidden_and_harms_nothing() -> None:
    fails = [True]

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        if fails:
            raise EngineError("gone")
        return await Meaning("weather|rain")(texts)

    retriever = Retriever(embed)
    with pytest.raises(EngineError, match="gone"):
        await retriever.top(TOOLS, "rain", 1)
    fails.clear()
    assert (await retriever.top(TOOLS, "rain", 1))[0].name == "getWeatherForecast"


# With the model.


async def test_the_model_finds_what_words_do_not(minilm_path: Path) -> None:
    engine = LlamaCppEngine(minilm_path, context=512, embeddings=True)
    retriever = Retriever(engine.embed)
    try:
        for text, name in (
            ("Do I need an umbrella in Oslo tomorrow?", "getWeatherForecast"),
            ("How many euros do I get for 20 dollars?", "convert_currency"),
            # "All orders of a customer" has a word of it, by chance.
            ("We are not coming to the hotel after all", "cancel-booking"),
            ("I want to listen to the Beatles", "play_music"),
            ("What has Ann bought from us so far?", "orders.list"),
        ):
            assert [tool.name for tool in await retriever.top(TOOLS, text, 1)] == [name], text
    finally:
        engine.close()
