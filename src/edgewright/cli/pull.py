"""`edgewright models pull`: of our catalog, by an Ollama server, or of Foundry Local's catalog."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ..domain.errors import ConfigError, EdgewrightError
from ..models.source import FOUNDRY, OLLAMA
from . import output

if TYPE_CHECKING:
    from ..models.card import ModelCard


def pull(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Catalog aliases; ollama:NAME has the Ollama server fetch it, foundry:ALIAS is a "
            "model of Foundry Local's catalog."
        ),
    ],
    prepared: Annotated[
        bool,
        typer.Option(
            "--prepare/--no-prepare",
            help="Compute what all agents' prompts begin with, so that no first answer waits.",
        ),
    ] = True,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch models: resumed when interrupted, checked before use."""
    from ..models.catalog import Catalog

    output.Mode.json = json
    pulls = []  # all names are looked at before anything is fetched
    for name in models:
        if name.startswith(OLLAMA):
            pulls.append(partial(_by_ollama, _ollama_name(name), json))
        elif name.startswith(FOUNDRY):
            pulls.append(partial(_by_foundry, name.removeprefix(FOUNDRY), json))
        else:
            pulls.append(partial(_of_catalog, Catalog.default().get(name), prepared, json))
    for one in pulls:
        one()


def prepare_visibly(card: ModelCard) -> None:
    """Computes beforehand what all agents on the model need, and says so on standard error; says
    why, too, where that fails, for then the first answer does it."""
    from ..runtime import can_prepare, prepare

    if not can_prepare(card):
        return
    what = f"{card.alias}: computing what all prompts begin with, once"
    try:
        if output.err.is_terminal:
            with output.err.status(f"[dim]{escape(what)}[/dim]"):
                prepare(card)
        else:
            output.err.print(what, markup=False)
            prepare(card)
    except EdgewrightError as error:
        output.err.print(f"{card.alias}: not prepared, so its first answer is slow: {error}")


def _of_catalog(card: ModelCard, prepared: bool, json: bool) -> None:
    from ..models.bar import pull_with_bar
    from ..models.store import Store

    store = Store()
    known = store.path(card) is not None
    path = pull_with_bar(store, card)
    if prepared:
        prepare_visibly(card)
    if json:
        found = {"alias": card.alias, "path": str(path), "sha256": store.checksum(card)}
        output.emit({**found, "already_here": known})
    else:
        output.out.print(f"{card.alias} is {'already ' if known else ''}here: {path}", markup=False)


def _by_ollama(name: str, json: bool) -> None:
    from urllib.parse import urlsplit

    from ..engines.ollama import OllamaEngine
    from ..engines.ollama.server import usual_endpoint
    from ..models.bar import pull_bar
    from ..security.egress import is_loopback

    server = usual_endpoint()
    if is_loopback(urlsplit(server).hostname):
        OllamaEngine.status()  # which says best that there is none
    with pull_bar(f"{OLLAMA}{name}") as progress:
        OllamaEngine.pull(name, endpoint=server, progress=progress)
    if json:
        output.emit({"alias": f"{OLLAMA}{name}", "server": server, "model": name})
    else:
        output.out.print(f"{OLLAMA}{name} is at the Ollama server {server}", markup=False)
        output.out.print(f"[dim]edgewright chat --model {OLLAMA}{name}[/dim]")


def _by_foundry(alias: str, json: bool) -> None:
    from dataclasses import asdict

    from ..engines.foundry_local.catalog import pull
    from ..models.bar import pull_bar

    with pull_bar(f"{FOUNDRY}{alias}") as progress:
        variant = pull(alias, progress=progress)
    if json:
        output.emit({**asdict(variant), "alias": f"{FOUNDRY}{alias}"})
    else:
        on = f" ({variant.device})" if variant.device else ""
        output.out.print(
            f"{FOUNDRY}{alias} is here: {variant.id}{on}, {variant.path}", markup=False
        )
        output.out.print(f"[dim]edgewright chat --model {FOUNDRY}{alias}[/dim]")


def _ollama_name(text: str) -> str:
    """The name without `ollama:`. Raises ConfigError for what cannot be one."""
    from ..models.source import parse

    name = text.removeprefix(OLLAMA)
    tagged = text if ":" in name.rpartition("/")[2] else f"{text}:latest"
    try:
        parse(tagged)
    except ValueError:
        raise ConfigError(
            f"{text!r} names no model of Ollama's.", hint="ollama:NAME or ollama:NAME:TAG"
        ) from None
    return name
