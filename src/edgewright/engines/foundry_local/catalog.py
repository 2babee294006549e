"""Foundry Local's catalog: what it offers, what is downloaded, and downloading.

It needs the network, which the SDK must not have in our process: so it is asked in a process of its
own, which lives for the question. What is only about the disk is asked without a network.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ...domain.errors import EngineUnavailableError, FetchError, UnknownModelError
from ...models.child import ChildError, be_child, lines_of
from ...models.disk import bytes_in
from ...models.progress import Progress, Reporter
from ...models.store import home
from ..processes.sealed import sealed_threads
from .model import installed, missing, short

HOST = "api.catalog.azureml.ms"
CATALOG = "EDGEWRIGHT_FOUNDRY_CATALOG"  # in the environment: another catalog's URL
_BETTER = ("", "CPU", "NPU", "GPU")  # a variant is only listed where its hardware is


@dataclass(frozen=True, slots=True)
class Variant:
    """A model as it was made for one kind of hardware. `path` is its folder, "" until it is
    downloaded; `size` is in bytes."""

    id: str
    alias: str
    device: str
    provider: str
    size: int
    task: str
    path: str


def offered(*, catalog: str = "", cache: Path | None = None) -> list[Variant]:
    """What the catalog has for this machine. `catalog` is another one's URL, by default the one in
    EDGEWRIGHT_FOUNDRY_CATALOG; `cache` is where models are kept, by default `foundry` in
    edgewright's home.

    Raises OfflineError, FetchError, EngineUnavailableError without the SDK.
    """
    _ask_the_guard(catalog)
    found = _variants("list", catalog, cache)
    if not found:
        raise FetchError(
            "Foundry Local's catalog could not be read.", hint="Check the network, and try again."
        )
    return found


def downloaded(*, catalog: str = "", cache: Path | None = None) -> list[Variant]:
    """What is on this machine. Nothing is asked of a network, which the SDK takes some seconds to
    find out. Raises EngineUnavailableError without the SDK."""
    return _variants("cached", catalog, cache)


def best(alias: str, *, catalog: str = "", cache: Path | None = None) -> Variant:
    """The downloaded variant that suits this machine best. Raises UnknownModelError."""
    there = downloaded(catalog=catalog, cache=cache)
    if (variant := choose(alias, there)) is None:
        some = ", ".join(sorted({one.alias for one in there}))
        raise UnknownModelError(
            f"Foundry Local has not downloaded {alias!r}. It has: {some or 'nothing'}",
            hint=f"While there is a network: edgewright models pull foundry:{alias}",
        )
    return variant


def choose(alias: str, variants: Sequence[Variant]) -> Variant | None:
    """Of the variants, the one that is asked for by its id, or the best by its alias: for the
    fastest hardware, then the newest."""
    for variant in variants:
        if variant.id == alias:
            return variant
    fits = [variant for variant in variants if variant.alias == alias]
    return max(fits, key=_worth, default=None)


def pull(
    alias: str,
    *,
    catalog: str = "",
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Variant:
    """Downloads the variant of the model that suits this machine best; one that is here already is
    only found. Raises OfflineError, UnknownModelError, FetchError, EngineUnavailableError."""
    _ask_the_guard(catalog)
    report = Reporter(0, progress)
    report.source = "Foundry Local"
    for said in _ask("pull", catalog, cache, alias):
        if "unknown" in said:
            raise UnknownModelError(
                f"Foundry Local's catalog has no {alias!r}.",
                hint=f"It has: {', '.join(said['unknown'][:20]) or 'nothing that could be read'}",
            )
        if "percent" in said:
            report.total = int(said["size"])
            report("downloading", int(said["size"] * said["percent"] / 100))
        if "variant" in said:
            report("done", report.total)
            return Variant(**said["variant"])
    raise FetchError(f"The download of {alias} broke off.", hint="Pull again.")


def remove(alias: str, *, catalog: str = "", cache: Path | None = None) -> int:
    """Deletes what was downloaded under the alias, or the one variant of that id; the bytes freed.
    Nothing is asked of a network. Raises UnknownModelError, EngineUnavailableError without the
    SDK."""
    told = _ask("remove", catalog, cache, alias)
    freed = [int(said["freed"]) for said in told if "freed" in said]
    if not freed:
        raise UnknownModelError(
            f"Foundry Local has not downloaded {alias!r}.", hint="edgewright engines foundry list"
        )
    return sum(freed)


def _variants(what: Literal["list", "cached"], catalog: str, cache: Path | None) -> list[Variant]:
    return [Variant(**said["variant"]) for said in _ask(what, catalog, cache) if "variant" in said]


def _ask(what: str, catalog: str, cache: Path | None, alias: str = "") -> Iterator[dict[str, Any]]:
    """What the other process answers. Raises FetchError."""
    if not installed():
        raise missing("it is not installed")
    question = {
        "what": what,
        "catalog": catalog or os.environ.get(CATALOG, ""),
        "root": str(cache or home() / "foundry"),
        "alias": alias,
    }
    try:
        with closing(
            lines_of("edgewright.engines.foundry_local.catalog", json.dumps(question))
        ) as lines:
            for line in lines:
                if line.startswith('{"edgewright": '):  # the SDK may say things as well
                    yield json.loads(line)["edgewright"]
    except ChildError as error:
        raise FetchError(
            f"Foundry Local failed: {short(error)}", hint="Check the network, and try again."
        ) from error


def _ask_the_guard(catalog: str) -> None:
    """Raises OfflineError if this process is offline: what the other one does, the guard does not
    see."""
    from urllib.parse import urlsplit

    where = urlsplit(catalog or os.environ.get(CATALOG, "")).hostname or HOST
    sys.audit("socket.getaddrinfo", where, 443, 0, 0, 0)


def _worth(variant: Variant) -> tuple[int, int]:
    device = _BETTER.index(variant.device) if variant.device in _BETTER else 0
    number = variant.id.rpartition(":")[2]
    return device, int(number) if number.isdecimal() else 0


# In the process of its own


def _child(question: dict[str, Any]) -> None:
    import foundry_local_sdk as sdk

    root = Path(question["root"])
    catalog = question["catalog"]
    manager = sdk.FoundryLocalManager(
        sdk.Configuration(
            app_name="edgewright",
            app_data_dir=str(root / "app"),
            model_cache_dir=str(root / "models"),
            logs_dir=str(root / "logs"),
            log_level=sdk.LogLevel.FATAL,
            catalog_urls=[(catalog, None)] if catalog else None,
            disable_nonessential_telemetry=True,
        )
    )
    try:
        public = manager.get_catalog()
        if question["what"] in ("cached", "remove"):
            models = public.get_cached_models()
        else:
            models = [variant for model in public.list_models() for variant in model.variants]
        if question["what"] == "remove":
            for model in models:
                if question["alias"] in (model.info.id, model.info.alias):
                    size = bytes_in(Path(model.get_path()))
                    model.remove_from_cache()
                    _say({"freed": size})
            return
        if question["what"] != "pull":
            for model in models:
                _say({"variant": asdict(_variant(model))})
            return
        known = [_variant(model) for model in models]
        chosen = choose(question["alias"], known)
        if chosen is None:
            _say({"unknown": sorted({one.alias for one in known})})
            return
        model = public.get_model_variant(chosen.id)
        model.download(lambda percent: _say({"percent": percent, "size": chosen.size}))
        _say({"variant": asdict(_variant(public.get_model_variant(chosen.id)))})
    finally:
        manager.close()


def _variant(model: Any) -> Variant:
    about = model.info
    runtime = about.runtime
    return Variant(
        about.id,
        about.alias,
        str(runtime.device_type or "") if runtime else "",
        runtime.execution_provider if runtime else "",
        (about.file_size_mb or 0) << 20,
        about.task or "",
        model.get_path() if model.is_cached else "",
    )


def _say(what: dict[str, Any]) -> None:
    print(json.dumps({"edgewright": what}), flush=True)


def main() -> None:
    be_child()
    question = json.loads(sys.argv[1])
    if question["what"] in ("cached", "remove"):  # about the disk only
        with sealed_threads(1, "foundry") as threads:
            threads.submit(_child, question).result()
    else:
        _child(question)


if __name__ == "__main__":
    try:
        main()
    except EngineUnavailableError as error:
        sys.exit(str(error))
    except Exception as error:  # its last line is what the other side tells
        sys.exit(short(error))
