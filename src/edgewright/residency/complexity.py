"""How hard a request is, told from its words and form: no model is asked.

The tiers are those of the work: simple (questions, routing), medium (service, scheduling, writing)
and complex (analysis, planning, several steps). Words are known in English and, by the roots they
share, in German, French, Spanish, Italian and Portuguese, a few in Russian, Chinese and Japanese.
In any other language a request is simple only while it is short: a model that is too large costs
seconds, one that is too small the answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from ..models.card import Tier

TIERS: tuple[Tier, ...] = ("simple", "medium", "complex")

_LOOKED_AT = 20_000  # characters; what is longer is complex by its length
_SHORT, _LONG, _VERY_LONG = 8, 60, 250  # words
_MANY_TOOLS, _MANY_TURNS = 6, 8
_COMPLEX = 3  # points

# Beginnings of words, accents and case taken away.
_REASONING = """
    analy anali assess evalu bewert valut avali compare compari confront vergleich strateg optimi
    diagnos forecast prognos pronost predict demonstr beweis demuestr dimostr abwag
    justif begrund rebalanc prioritis prioritiz recommend recomend recommand empfehl raccomand
    propos vorschl propon hypothes infer investigat trend weakness trade-off
    анализ проанализ сравн стратег оцен обосну докаж
"""
_SERVICE = """
    book reserv prenot buch schedul appointment meeting remind reminder erinner termin cita
    cancel stornier annul cambi verschieb reschedul move change update set order bestell pedido
    command ordin refund erstatt rembours reembols return reset password account subscription
    ticket incident complain invoice rechnung factur fattur fatura payment charg refill
    prescription slot summar zusammenfass resum riassum draft write schreib ecri escrib scriv
    extract fix broken error install configur parcel deliver запиш заказ отмен напом
"""
# Languages written without spaces: anywhere in the text.
_REASONING_SIGNS = re.compile(
    "分析|[计計規规][划画劃]|方案|[比对対]較|比较|[评評][估価]|[战戦策]略|证明|証明|予測|预测"
)
_SERVICE_SIGNS = re.compile("[预預予][约約]|预订|取消|キャンセル|[变変]更|提醒|退款|返金|订单|注文")
# Whole words, and of plans those that are made, not the one that is paid for.
_PLANNING = re.compile(
    r"(?<!\bmy )(?<!\byour )(?<!\bthe )\b(plan(s|n\w+|e|ea|o|os|ung|if\w+)?|план\w*)\b"
    r"|^design\b|\bprove\b|\bproof of\b|\bweigh (up|the|costs?|pros|options)\b"
)
_STEPS = re.compile(
    r"step by step|schritt fur schritt|etape par etape|paso a paso|passo a passo|шаг за шагом"
    r"|\bfirst\b.{1,300}\bthen\b|\bzuerst\b.{1,300}\bdann\b|\bd'abord\b.{1,300}\bensuite\b"
    r"|\bprimero\b.{1,300}\bluego\b",
    re.DOTALL,
)
_CODE = re.compile(
    r"```|`[^`\n]+`|\b(python|javascript|typescript|java|rust|golang|sql|regex|bash|html|css)\b"
)
_ASK = re.compile(r"[?？؟]|^[ \t]*(?:[-*•]|\(?\d{1,2}[.)])\s+\S", re.MULTILINE)
# What only wants to know what something is, or where it belongs, is simple whatever it is about.
_ROUTING = re.compile(r"\W*(route|classify|which (agent|department|team|category))\b")
_QUESTION = re.compile(
    r"\W*(what|what's|who|when|where|which|define|how (many|much|old|tall|far)|is|are|does"
    r"|do you)\b"
)
_OWN = re.compile(r"\b(my|our|mine)\b")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Complexity:
    """The tier, and what spoke for more than simple work: one phrase each."""

    tier: Tier
    reasons: tuple[str, ...] = ()


def complexity(text: str, *, tools: int = 0, turns: int = 0) -> Complexity:
    """How hard `text` is for an agent with that many tools, after that many turns."""
    weighed = list(_weighed(_plain(text[:_LOOKED_AT])))
    if weighed and tools > _MANY_TOOLS:  # many tools or turns make simple work no harder
        weighed.append((1, f"{tools} tools to choose from"))
    if weighed and turns >= _MANY_TURNS:
        weighed.append((1, f"{turns} turns to go by"))
    points = sum(point for point, _ in weighed)
    tier: Tier = "complex" if points >= _COMPLEX else "medium" if points else "simple"
    return Complexity(tier, tuple(reason for _, reason in weighed))


def _weighed(text: str) -> Iterator[tuple[int, str]]:
    """Each thing that makes the request harder, with its points."""
    words = _WORD.findall(text)
    length = max(len(text.split()) + len(_UNSPACED.findall(text)) // 2, len(text) // 20)
    routing = bool(_ROUTING.match(text))
    question = bool(_QUESTION.match(text)) and length <= 2 * _SHORT

    reasoning = (
        _found(_REASONING, words) or _match(_REASONING_SIGNS, text) or _match(_PLANNING, text)
    )
    service = _found(_SERVICE, words) or _match(_SERVICE_SIGNS, text)
    if reasoning and not routing:
        yield (1 if question else _COMPLEX), f"asks for thought ({reasoning})"
    elif service and not routing and (_OWN.search(text) or not question):
        yield 1, f"asks for something to be done ({service})"
    elif length > _SHORT and not routing and not question:
        yield 1, "more than a short question"

    if steps := _match(_STEPS, text):
        yield 2, f"goes in steps ({steps.split()[0]} …)"
    if code := _match(_CODE, text):
        yield 1, f"has to do with code ({code[:20]})"
    asks = len(_ASK.findall(text))
    if asks > 1:
        yield min(asks - 1, _COMPLEX), f"asks {asks} things"
    if length > _LONG:
        yield (_COMPLEX if length > _VERY_LONG else 1), f"is {length} words long"


def _found(beginnings: str, words: list[str]) -> str:
    """The first of the words that begins like one of those, or nothing."""
    some = tuple(beginnings.split())
    return next((word for word in words if word.startswith(some)), "")


def _match(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return found[0] if found else ""


def _plain(text: str) -> str:
    """Without accents and case."""
    letters = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
