"""One contender in its own process: one agent turn is two model calls and one tool call.

    python -m benchmarks.contenders NAME URL

Reads lines "turns N" from stdin, and answers each with one line of JSON. Imports nothing but the
standard library and what it measures, so it runs in either environment.
"""

from __future__ import annotations

import time

START = time.perf_counter()

import asyncio  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import socket  # noqa: E402
import sys  # noqa: E402
from collections.abc import Awaitable, Callable  # noqa: E402
from dataclasses import dataclass  # noqa: E402
from typing import Any  # noqa: E402

from .memory import peak_mb  # noqa: E402

QUESTION = "Where is my order 12345?"
REPLY = "Order 12345 has shipped."
INSTRUCTIONS = "You are a customer service agent. Use the tools to answer."
SCHEMA = {
    "type": "object",
    "properties": {"order_id": {"type": "string"}},
    "required": ["order_id"],
}

called: list[str] = []  # what the tool was called with, emptied before each turn

Turn = Callable[[], Awaitable[str]]


def lookup_order_status(order_id: str) -> dict[str, str]:
    """Look up the status of an order by its id."""
    called.append(order_id)
    return {"order_id": order_id, "status": "shipped"}


def first_messages() -> list[dict[str, Any]]:
    return [
        {"role": "system", "content": INSTRUCTIONS},
        {"role": "user", "content": QUESTION},
    ]


def tool_objects() -> list[dict[str, Any]]:
    function = {
        "name": "lookup_order_status",
        "description": lookup_order_status.__doc__,
        "parameters": SCHEMA,
    }
    return [{"type": "function", "function": function}]


def call_by_hand(message: dict[str, Any]) -> list[dict[str, Any]]:
    """What a tool loop written by hand adds to the conversation."""
    call = message["tool_calls"][0]
    result = lookup_order_status(**json.loads(call["function"]["arguments"]))
    reply = {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)}
    return [message, reply]


def floor(url: str) -> Turn:
    """A blocking socket: the least that two HTTP exchanges and the stub's work can take."""
    host, port = url.removeprefix("http://").removesuffix("/v1").split(":")
    connection = socket.create_connection((host, int(port)))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def post(messages: list[dict[str, Any]]) -> dict[str, Any]:
        asked = {"model": "stub", "messages": messages, "tools": tool_objects()}
        body = json.dumps(asked).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(65536)
        head_end = data.index(b"\r\n\r\n") + 4
        match = re.search(rb"content-length: (\d+)", data)
        assert match
        while len(data) < head_end + int(match[1]):
            data += connection.recv(65536)
        message: dict[str, Any] = json.loads(data[head_end:])["choices"][0]["message"]
        return message

    async def turn() -> str:
        messages = first_messages()
        messages += call_by_hand(post(messages))
        return str(post(messages)["content"])

    return turn


def raw_httpx(url: str) -> Turn:
    import httpx

    client = httpx.AsyncClient(base_url=url)

    async def post(messages: list[dict[str, Any]]) -> dict[str, Any]:
        asked = {"model": "stub", "messages": messages, "tools": tool_objects()}
        answer = await client.post("/chat/completions", json=asked)
        message: dict[str, Any] = answer.raise_for_status().json()["choices"][0]["message"]
        return message

    async def turn() -> str:
        messages = first_messages()
        messages += call_by_hand(await post(messages))
        return str((await post(messages))["content"])

    return turn


def openai_client(url: str) -> Turn:
    """The client library under every peer here, with the loop written by hand."""
    from openai import AsyncOpenAI

    client: Any = AsyncOpenAI(base_url=url, api_key="none")

    async def post(messages: list[dict[str, Any]]) -> dict[str, Any]:
        answer = await client.chat.completions.create(
            model="stub", messages=messages, tools=tool_objects()
        )
        message: dict[str, Any] = answer.choices[0].message.model_dump(exclude_none=True)
        return message

    async def turn() -> str:
        messages = first_messages()
        messages += call_by_hand(await post(messages))
        return str((await post(messages))["content"])

    return turn


def edgewright(url: str) -> Turn:
    from edgewright import Agent, Config

    agent = Agent(
        Config(name="bench", model_id="stub"),
        model_endpoint=url,
        api_key="none",
        instructions=INSTRUCTIONS,
    )
    agent.tool(lookup_order_status)

    async def turn() -> str:
        return str(await agent.chat_async(QUESTION))

    return turn


def edgewright_scripted(url: str) -> Turn:
    """No server and no model: what is left is the agent loop itself."""
    from edgewright import Agent, Config
    from edgewright.engines.scripted import ScriptedEngine

    call = {"tool": "lookup_order_status", "arguments": {"order_id": "12345"}}
    engine = ScriptedEngine([call, REPLY], loop=True)
    agent = Agent(Config(name="bench"), engine=engine, instructions=INSTRUCTIONS)
    agent.tool(lookup_order_status)

    async def turn() -> str:
        return str(await agent.chat_async(QUESTION))

    return turn


def agent_framework(url: str) -> Turn:
    from agent_framework import Agent
    from agent_framework_openai import OpenAIChatCompletionClient

    client = OpenAIChatCompletionClient("stub", api_key="none", base_url=url)
    agent: Any = Agent(client, INSTRUCTIONS, tools=[lookup_order_status])

    async def turn() -> str:
        return str((await agent.run(QUESTION)).text)

    return turn


def pydantic_ai(url: str) -> Turn:
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    model = OpenAIChatModel("stub", provider=OpenAIProvider(base_url=url, api_key="none"))
    agent: Any = Agent(model, instructions=INSTRUCTIONS, tools=[lookup_order_status])

    async def turn() -> str:
        return str((await agent.run(QUESTION)).output)

    return turn


def openai_agents(url: str) -> Turn:
    from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
    from agents import set_tracing_disabled as no_tracing
    from openai import AsyncOpenAI

    no_tracing(True)
    model = OpenAIChatCompletionsModel("stub", AsyncOpenAI(base_url=url, api_key="none"))
    agent: Any = Agent(
        name="bench",
        instructions=INSTRUCTIONS,
        model=model,
        tools=[function_tool(lookup_order_status)],
    )

    async def turn() -> str:
        return str((await Runner.run(agent, QUESTION)).final_output)

    return turn


def langgraph(url: str) -> Turn:
    from langchain_openai import ChatOpenAI
    from langgraph.graph import START as BEGIN
    from langgraph.graph import MessagesState, StateGraph
    from langgraph.prebuilt import ToolNode, tools_condition

    tools = [lookup_order_status]
    model: Any = ChatOpenAI(model="stub", base_url=url, api_key="none").bind_tools(tools)

    async def call_model(state: Any) -> dict[str, Any]:
        prompt = [{"role": "system", "content": INSTRUCTIONS}, *state["messages"]]
        return {"messages": [await model.ainvoke(prompt)]}

    builder: Any = StateGraph(MessagesState)
    builder.add_node("model", call_model)
    builder.add_node("tools", ToolNode(tools))
    builder.add_edge(BEGIN, "model")
    builder.add_conditional_edges("model", tools_condition)
    builder.add_edge("tools", "model")
    graph = builder.compile()

    async def turn() -> str:
        asked = {"messages": [{"role": "user", "content": QUESTION}]}
        return str((await graph.ainvoke(asked))["messages"][-1].content)

    return turn


@dataclass(frozen=True)
class Contender:
    """`package` names the version shown; `imports` is what using it takes, timed by itself."""

    title: str
    package: str
    imports: str
    make: Callable[[str], Turn]
    own: bool = False  # runs in edgewright's environment, not in the peers'
    peer: bool = False
    server: bool = True


CONTENDERS = {
    "edgewright": Contender(
        "edgewright", "edgewright", "from edgewright import Agent", edgewright, own=True
    ),
    "edgewright-scripted": Contender(
        "edgewright, scripted engine in process",
        "edgewright",
        "from edgewright import Agent",
        edgewright_scripted,
        own=True,
        server=False,
    ),
    "agent-framework": Contender(
        "agent-framework-core",
        "agent-framework-core",
        "from agent_framework import Agent;"
        "from agent_framework_openai import OpenAIChatCompletionClient",
        agent_framework,
        peer=True,
    ),
    "langgraph": Contender(
        "langgraph",
        "langgraph",
        "from langchain_openai import ChatOpenAI;"
        "from langgraph.graph import MessagesState, StateGraph;"
        "from langgraph.prebuilt import ToolNode",
        langgraph,
        peer=True,
    ),
    "openai-agents": Contender(
        "openai-agents",
        "openai-agents",
        "from agents import Agent, OpenAIChatCompletionsModel, Runner",
        openai_agents,
        peer=True,
    ),
    "pydantic-ai": Contender(
        "pydantic-ai-slim",
        "pydantic-ai-slim",
        "from pydantic_ai import Agent; from pydantic_ai.models.openai import OpenAIChatModel",
        pydantic_ai,
        peer=True,
    ),
    "openai": Contender(
        "openai client, loop by hand", "openai", "from openai import AsyncOpenAI", openai_client
    ),
    "httpx": Contender("httpx, loop by hand", "httpx", "import httpx", raw_httpx),
    "floor": Contender("bare socket", "", "import json, socket", floor),
}


async def timed(turn: Turn) -> float:
    """Milliseconds of one turn. Raises where the tool was not called once or the reply is wrong."""
    called.clear()
    start = time.perf_counter()
    text = await turn()
    took = (time.perf_counter() - start) * 1000
    if called != ["12345"] or text != REPLY:
        raise ValueError(f"not a turn: tool called with {called}, reply {text!r}")
    return took


async def work(name: str, url: str, out: int) -> None:
    turn = CONTENDERS[name].make(url)
    await timed(turn)
    ready = (time.perf_counter() - START) * 1000
    os.write(out, json.dumps({"ready_ms": ready}).encode() + b"\n")
    for line in sys.stdin:
        count = int(line.removeprefix("turns "))
        took = [await timed(turn) for _ in range(count)]
        os.write(out, json.dumps({"ms": took, "peak_mb": peak_mb()}).encode() + b"\n")


def main() -> None:
    name, url = sys.argv[1:]
    out = os.dup(1)
    os.dup2(2, 1)  # whatever a contender prints is not our answer
    try:
        asyncio.run(work(name, url, out))
    except Exception as error:
        os.write(out, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        raise SystemExit(1) from error


if __name__ == "__main__":
    main()
