"""`edgewright models convert`"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import output
from .quantize import find_source

if TYPE_CHECKING:
    from ..models.convert import Converted, Progress


def convert(
    source: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")],
    to: Annotated[str, typer.Option("--to", help="The format: onnx.", metavar="FORMAT")],
    out: Annotated[
        Path | None, typer.Option(help="Put the folder in here; default: the model store.")
    ] = None,
    precision: Annotated[str, typer.Option(help="int4, int8, fp16 or fp32.")] = "int4",
    provider: Annotated[
        str, typer.Option(help="cpu, cuda, dml, webgpu or NvTensorRtRtx; auto: what is here.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a folder that the onnx engine loads of a model: SOURCE-onnx.

    It is checked to answer as the model does before it is kept.
    """
    from ..domain.errors import ConfigError
    from ..engines.onnx.agreement import LEAST, check_onnx
    from ..engines.onnx.folder import builder_provider
    from ..models import convert as models
    from ..models.store import Store

    output.Mode.json = json
    if to.lower() != "onnx":
        raise ConfigError(f"Models are not converted to {to}.", hint="Use --to onnx.")
    wanted = models.precision(precision)
    known = ("cpu", "cuda", "dml", "webgpu", "NvTensorRtRtx")
    if provider not in ("auto", *known):
        raise ConfigError(f"There is no provider {provider}.", hint=f"Known: {', '.join(known)}.")
    card, file = find_source(source)
    alike: list[float] = []
    with _bar(f"{card.alias} → onnx") as progress:
        made = models.convert(
            card,
            file,
            Store(),
            out=out,
            precision=wanted,
            provider=builder_provider() if provider == "auto" else provider,
            check=lambda folder, path: alike.append(check_onnx(folder, path, LEAST[wanted])),
            progress=progress,
        )
    if json:
        output.emit(_as_dict(made, alike))
    else:
        _show(made, alike)


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """Hears of each step: a bar on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    live = output.err.is_terminal
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task = bar.add_task(what, total=None)

        def on_step(step: str, done: int, total: int) -> None:
            bar.update(task, description=f"{what}: {step}", completed=done, total=total or None)

        yield on_step


def _as_dict(made: Converted, alike: list[float]) -> dict[str, Any]:
    return {
        "alias": made.manifest.alias,
        "path": str(made.path),
        "precision": made.manifest.precision,
        "provider": made.manifest.provider,
        "size": made.size,
        "source_sha256": made.manifest.source_sha256,
        "made_with": made.manifest.made_with,
        "agreement": round(alike[0], 4) if alike else None,
        "already_here": made.already,
        "seconds": round(made.seconds, 3),
    }


def _show(made: Converted, alike: list[float]) -> None:
    about = made.manifest
    if made.already:
        output.out.print(f"{about.alias} is already here: {made.path}", markup=False)
        return
    said = f"; agrees with the file to {alike[0]:.0%} on the next token" if alike else ""
    output.out.print(
        f"{about.alias}: {about.precision} for {about.provider}, {made.size / 1e6:.0f} MB in "
        f"{made.seconds:.1f} s{said}",
        markup=False,
    )
    output.out.print(f"[dim]{made.path}[/dim]")
