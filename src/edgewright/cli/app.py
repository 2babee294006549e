"""The commands."""

from __future__ import annotations

import typer

from . import chat, doctor, evaluate, models

app = typer.Typer(
    name="edgewright",
    help="AI agents on small language models, on hardware you own, offline first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(chat.ask)
app.command()(chat.chat)
app.command()(doctor.doctor)
app.add_typer(evaluate.app, name="eval", help="Benchmarks, with scores to compare.")
app.add_typer(models.app, name="models", help="Models on this machine.")
