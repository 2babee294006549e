"""The demo's requests are decided with room to spare: another processor or version of the library
moves the odds a little, and must not move the decision. Bars that are higher by that much are still
passed by what has to be called, and lower ones are not by what must not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))  # apps are not installed

from apps.customer_service.agent import make_agent
from apps.customer_service.demo import GREETING, LAPTOP, MODEL, ORDER

from edgewright import Agent, Message
from edgewright.acting import Actor, Profile
from edgewright.engines.llama_cpp import LlamaCppEngine

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

ROOM = 0.15  # nats; about what they come out apart when they are computed in other batches


async def test_the_demos_requests_are_decided_with_room_to_spare(
    qwen_path: Path, warm: Path, tmp_path: Path
) -> None:
    known = Profile.of("qwen2")
    engine = LlamaCppEngine(qwen_path, model=MODEL, warm=warm)
    shop: Agent = make_agent(tmp_path / "shop.db")
    called = {}
    for text in (ORDER, LAPTOP, GREETING):
        said = [Message("system", shop.instructions), Message("user", text)]
        room = -ROOM if text == GREETING else ROOM
        bars = {bar: getattr(known, bar) + room for bar in ("read", "change", "clear", "mention")}
        profile = known.model_copy(update=bars)
        actor = Actor(engine, profile=profile, instructions=shop.instructions, max_tokens=128)
        action = await actor.act(said, [tool.spec for tool in shop.tools], lambda _: None)
        called[text] = [call.name for call in action.calls]
    engine.close()
    shop.close()
    assert called == {ORDER: ["lookup_order_status"], LAPTOP: ["open_ticket"], GREETING: []}
