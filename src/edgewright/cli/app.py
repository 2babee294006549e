"""The commands."""

from __future__ import annotations

import typer

from . import (
    agent_test,
    bench,
    bundle,
    chat,
    convert,
    doctor,
    engines,
    evaluate,
    fit,
    models,
    quantize,
    tune,
)

app = typer.Typer(
    name="edgewright",
    help="AI agents on small language models, on hardware you own, offline first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(chat.ask)
app.command()(chat.chat)
app.command()(agent_test.test)
app.command()(doctor.doctor)
app.command()(fit.fit)
app.command()(tune.tune)
models.app.command()(convert.convert)
models.app.command()(quantize.quantize)
models.app.command("export")(bundle.export_models)
models.app.command("import")(bundle.import_models)
models.app.command()(bundle.keygen)
app.add_typer(bench.app, name="bench", help="Measurements on this machine.")
app.add_typer(engines.app, name="engines", help="Engines, and the servers that they manage.")
app.add_typer(evaluate.app, name="eval", help="Benchmarks, with scores to compare.")
app.add_typer(models.app, name="models", help="Models on this machine.")
