"""`edgewright ask` and `edgewright chat`."""

from __future__ import annotations

import secrets
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..domain.errors import ConfigError, EdgewrightError
from ..domain.event import EngineSwitched, TextDelta, TurnFinished
from . import output
from .agents import find_agent
from .waiting import Doing, Waiting

if TYPE_CHECKING:
    from ..runtime import Agent

AgentOption = Annotated[
    str, typer.Option("--agent", help="An agent of yours: path.py:name.", metavar="PATH:NAME")
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        help="A catalog alias, a .gguf file, a folder of an engine's files, ollama:NAME or "
        "foundry:ALIAS.",
        metavar="MODEL",
    ),
]
SessionOption = Annotated[
    str, typer.Option("--session", help="Continue (or begin) the conversation of this name.")
]
OfflineOption = Annotated[
    bool, typer.Option("--offline", help="Refuse every connection but loopback.")
]
MemoryOption = Annotated[
    str, typer.Option("--max-memory", help="What models may take, such as 4GB.", metavar="SIZE")
]
HELP = """/help  this list
Ctrl-C  stops the answer; at the prompt, ends the chat
Ctrl-D  ends the chat
Answer a question, or "yes" or "no" to what has to be confirmed, as your next message."""

JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]


def ask(
    text: Annotated[str, typer.Argument(help="What to ask; - reads it from standard input.")],
    agent: AgentOption = "",
    model: ModelOption = "",
    session: SessionOption = "",
    offline: OfflineOption = False,
    max_memory: MemoryOption = "",
    yes: Annotated[
        bool, typer.Option("--yes", help="Make calls that you would be asked to confirm.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Ask once and print the reply, or the question where something has to be said or confirmed."""
    output.Mode.json = json
    text = _stdin() if text == "-" else _text(text, "The question")
    session = _text(session, "The session's name")
    try:
        chosen = find_agent(agent, model, offline, max_memory)
        if yes:
            chosen.config = chosen.config.model_copy(update={"confirm": "never"})
        end = _turn(chosen, text, session)
        if end.stop_reason == "confirm" and not json:
            way = (
                "Answer in the same session"
                if session
                else "Ask again with --yes, or in a --session"
            )
            output.err.print(f"[yellow]Nothing is done yet. {way}.[/yellow]")
    except KeyboardInterrupt:
        output.stopped(_again(agent, model, session, offline) if session else "")
        raise


def chat(
    agent: AgentOption = "",
    model: ModelOption = "",
    session: SessionOption = "",
    offline: OfflineOption = False,
    max_memory: MemoryOption = "",
    json: JsonOption = False,
) -> None:
    """Talk. The conversation is kept. Ctrl-C stops an answer; end with Ctrl-D, or Ctrl-C at the
    prompt."""
    output.Mode.json = json
    session = _text(session, "The session's name") or f"chat-{secrets.token_hex(3)}"
    chosen = find_agent(agent, model, offline, max_memory)
    talking = sys.stdin.isatty() and not json
    if talking:
        about = f"{chosen.model} · session {session} · /help · Ctrl-D ends"
        output.err.print(f"[dim]{escape(about)}[/dim]")
    try:
        while True:
            if talking:
                output.err.print("[bold]you ›[/bold] ", end="")
            line = sys.stdin.buffer.readline()
            if not line:
                break
            text = _decoded(line).strip()
            if not text:
                continue
            if talking and text == "/help":
                output.err.print(f"[dim]{escape(HELP)}[/dim]")
                continue
            try:
                _turn(chosen, text, session)
            except EdgewrightError as error:
                if not talking:
                    raise
                output.tell(error)
            except KeyboardInterrupt as interrupt:
                if not talking or isinstance(interrupt.__context__, KeyboardInterrupt):
                    raise  # a second one, while the first is seen to
                output.err.print("\n[yellow]Stopped.[/yellow]")
    finally:
        output.stopped(_again(agent, model, session, offline))


def _turn(agent: Agent, text: str, session: str) -> TurnFinished:
    """One turn, shown as it goes."""
    end: TurnFinished | None = None
    said = False
    doing = Doing(agent)
    with Waiting(output.err, doing.what) as waiting:
        for event in agent.stream(text, session=session):
            said_more = isinstance(event, TextDelta)
            waiting.shown(line_open=said_more or said)
            doing.note(event)
            if output.Mode.json:
                output.emit(event.as_dict())
            else:
                if said and isinstance(event, EngineSwitched):
                    print(" …", flush=True)  # what was said so far is void
                output.show(event)
            said = said_more or (said and not isinstance(event, EngineSwitched))
            if isinstance(event, TurnFinished):
                end = event
    assert end is not None, "a stream ends with it, or raises"
    if not output.Mode.json:
        print()
        if end.stop_reason not in ("reply", "question", "confirm"):
            output.err.print(f"[yellow]The turn ended early: {end.stop_reason}.[/yellow]")
        output.err.print(f"[dim]{output.figures(end)}[/dim]")
    return end


def _again(agent: str, model: str, session: str, offline: bool) -> str:
    """The command that goes on where this one stopped."""
    options = {"--agent": agent, "--model": model, "--session": session}
    words = [word for option, value in options.items() if value for word in (option, value)]
    return shlex.join(["edgewright", "chat", *words, *(["--offline"] if offline else [])])


def _stdin() -> str:
    return _decoded(sys.stdin.buffer.read()).strip()


def _text(argument: str, what: str) -> str:
    """The argument. Raises ConfigError when the shell gave bytes that are not UTF-8."""
    try:
        argument.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{what} is not UTF-8.", hint="Check the terminal's encoding.") from None
    return argument


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"Standard input is not UTF-8 (byte {error.start}).",
            hint="Convert it first, for example: iconv -f latin1 -t utf-8",
        ) from None
