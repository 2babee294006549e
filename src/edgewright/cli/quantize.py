"""`edgewright models quantize`"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import output

if TYPE_CHECKING:
    from ..models.card import ModelCard
    from ..models.quantize import Progress, Quantized

Levels = Annotated[
    str, typer.Option("--to", help="Quantizations with commas between.", metavar="LEVELS")
]


def quantize(
    source: Annotated[str, typer.Argument(help="A catalog alias or a .gguf file.")],
    to: Levels,
    out: Annotated[
        Path | None, typer.Option(help="Write the files here; default: the model store.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make smaller files of a model, each a model of its own: SOURCE-q4_0 and so on; or
    SOURCE-q4_1-q8_0, made of its Q4_1, where the catalog has a Q8_0 of the whole model.

    Levels: Q2_K, Q3_K_S, Q3_K_M, Q3_K_L, Q4_0, Q4_1, Q4_K_S, Q4_K_M, Q5_0, Q5_1, Q5_K_S, Q5_K_M,
    Q6_K, Q8_0, F16.
    """
    from ..models.quantize import levels, quantize
    from ..models.store import Store

    output.Mode.json = json
    wanted = levels(to)
    card, file = find_source(source)
    warn_of_loss(card, wanted)
    for level in wanted:
        with tensors_bar(f"{card.alias} → {level}") as progress:
            made = quantize(card, file, level, Store(), out=out, progress=progress)
        if json:
            output.emit(as_dict(made))
        else:
            _show(made, card)


def find_source(name: str) -> tuple[ModelCard, Path]:
    """The card and file of an alias, pulled first where it may be, or of a .gguf file."""
    from ..domain.errors import ModelFileError
    from ..models.catalog import Catalog
    from ..models.quantize import card_of_file
    from ..runtime import model_path

    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise ModelFileError(f"There is no file {path}.", hint="Check the path.")
        return card_of_file(path), path
    card = Catalog.default().get(name)
    return card, model_path(card, offline=False)


def warn_of_loss(card: ModelCard, levels: Sequence[str]) -> None:
    """Says so when the source is quantized itself, and which levels there are made of better."""
    from ..models.catalog import Catalog
    from ..models.quantize import UNQUANTIZED

    if card.quantization in UNQUANTIZED or output.Mode.json:
        return
    output.err.print(
        f"[yellow]{card.alias} is quantized already ({card.quantization}): quality is lost twice, "
        "and a larger level brings none back.[/yellow]"
    )
    catalog = Catalog.default()
    ready = [other for other in card.all()[1:] if other.quantization in levels]
    # Not where a model of the user's own has that name.
    better = [other.alias for other in ready if catalog.find(other.alias) == other]
    if names := " ".join(better):
        output.err.print(f"[dim]To be had of the whole model: edgewright models pull {names}[/dim]")


@contextmanager
def tensors_bar(what: str) -> Iterator[Progress]:
    """Hears of each tensor: a bar on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    live = output.err.is_terminal
    with Progress(*columns, console=output.err, transient=True, disable=not live) as bar:
        task = bar.add_task(what, total=None)

        def on_tensor(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield on_tensor


def as_dict(made: Quantized) -> dict[str, object]:
    """What JSON says of a quantization."""
    return {
        "alias": made.card.alias,
        "path": str(made.path),
        "quantization": made.card.quantization,
        "size": made.header.size,
        "sha256": made.card.sha256,
        "in_the_file": dict(made.header.tensor_types),
        "fallbacks": made.fallbacks,
        "already_here": made.already,
        "seconds": round(made.seconds, 3),
    }


def in_the_file(made: Quantized) -> str:
    """The tensor types by their share of the bytes: "Q4_0 51 %, Q8_0 34 %, Q3_K 13 %"."""
    types = made.header.tensor_types
    total = sum(types.values())
    shares = [(name, round(100 * size / total)) for name, size in types.items()]
    return ", ".join(f"{name} {share} %" for name, share in shares if share)


def _show(made: Quantized, source: ModelCard) -> None:
    alias, level, size = made.card.alias, made.card.quantization, made.header.size
    if made.already:
        output.out.print(f"{alias} is already here: {made.path}", markup=False)
        return
    was = f" from {source.size / 1e6:.0f} MB" if source.size else ""
    output.out.print(
        f"{alias}: {size / 1e6:.0f} MB{was} in {made.seconds:.1f} s; in it: {in_the_file(made)}",
        markup=False,
    )
    if made.fallbacks:
        output.out.print(
            f"[dim]{made.fallbacks} of {made.header.tensor_count} tensors have a width that does "
            f"not divide by 256: they are of other types than usual at {level}.[/dim]"
        )
    output.out.print(f"[dim]edgewright chat --model {alias}[/dim]")
