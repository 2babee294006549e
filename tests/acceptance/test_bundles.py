"""`edgewright models export` and `import`: from a machine with models to one without a network."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import CommandLine, small_disk, without_network

from edgewright.models.catalog import Catalog

SMOLLM = "smollm2-135m"
SIZE = Catalog.default().get(SMOLLM).size or 0


@pytest.fixture
def site(tmp_path: Path) -> CommandLine:
    """A machine that never had a network: no models, and no interface."""
    return CommandLine(tmp_path / "site", tmp_path, without_network())


@pytest.fixture
def bundle(cli: CommandLine) -> str:
    cli("models", "export", SMOLLM, "--to", "models.bundle").well()
    return "models.bundle"


def test_a_model_goes_to_a_machine_without_a_network_and_answers(
    cli: CommandLine, site: CommandLine
) -> None:
    cli("models", "keygen", "keys").well()
    to = ("--to", "models.bundle")
    made = cli("models", "export", SMOLLM, *to, "--sign", "keys/private.pem").well()
    assert "models.bundle: 98 MB, signed: smollm2-135m" in made.out
    assert "exporting: 100 % of 98 MB" in made.err
    site.refused("model_not_pulled", "ask", "Hello!", "--model", SMOLLM, "--offline")

    came = site("models", "import", "models.bundle", "--verify", "keys/public.pem").well()
    assert "smollm2-135m came in: 98 MB" in came.out
    assert "signed with the key of keys/public.pem" in came.out
    asked = site("ask", "Say hello.", "--model", SMOLLM, "--offline").well()
    assert len(asked.out.strip()) > 3

    again = site("models", "import", "models.bundle").well()
    assert "smollm2-135m is already here" in again.out
    assert "By whom was not asked: --verify" in again.out
    assert again.seconds < 5


def test_in_json(cli: CommandLine, site: CommandLine) -> None:
    (made,) = cli("models", "export", SMOLLM, "--to", "b", "--json").well().events
    size = (cli.folder / "b").stat().st_size
    assert made == {"file": "b", "size": size, "signed": False, "models": [SMOLLM]}
    assert SIZE < size < SIZE + 10_000
    (came,) = site("models", "import", "b", "--json").well().events
    assert came["signature"] == "none"
    (model,) = came["models"]
    assert (model["alias"], model["size"]) == (SMOLLM, SIZE)
    assert (model["already_here"], model["new_card"]) == (False, False)
    (cards,) = site("models", "list", "--json").well().events
    assert [card["alias"] for card in cards if card["here"]] == [SMOLLM]  # type: ignore[index]


def test_a_model_only_one_machine_knew_is_in_the_others_catalog(
    cli: CommandLine, site: CommandLine, smollm_path: Path
) -> None:
    digest = smollm_path.name.removeprefix("sha256-")
    (cli.home / "catalog.yaml").write_text(
        f"ours:\n  {{family: smollm2, parameters: 134515008, quantization: Q4_1, licence: mit,\n"
        f"  context: 8192, template: chatml, size: {SIZE}, sha256: {digest},\n"
        f"  sources: ['file:{smollm_path}']}}\n"
    )
    cli("models", "export", "ours", "--to", "ours.bundle").well()
    assert "ours came in: 98 MB, and is new" in site("models", "import", "ours.bundle").well().out
    (info,) = site("models", "info", "ours", "--json").well().events
    assert (info["licence"], info["path"] is None) == ("mit", False)
    assert site("ask", "Say hello.", "--model", "ours", "--offline").well().out.strip()


def test_refusals(cli: CommandLine, site: CommandLine, bundle: str) -> None:
    cli("models", "keygen", "keys").well()
    verify = ("--verify", "keys/public.pem")
    assert "not signed" in site.refused("bundle_invalid", "models", "import", bundle, *verify)
    assert "does not exist" in site.refused("bundle_invalid", "models", "import", "none")
    told = cli.refused("model_not_pulled", "models", "export", "gemma-3-270m", "--to", "b")
    assert "edgewright models pull gemma-3-270m" in told
    cli.refused("model_unknown", "models", "export", "smollm2-135", "--to", "b")
    cli.refused("storage_failed", "models", "keygen", "keys")
    with (cli.folder / bundle).open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"changed")
    changed = site("models", "import", bundle)
    assert changed.status == 1
    assert "[bundle_invalid]" in changed.err and "was changed" in changed.err
    (document,) = site("models", "import", bundle, "--json").events
    assert document["error"]["code"] == "bundle_invalid"
    assert not (cli.folder / "b").exists()
    assert not any(site.home.rglob("sha256-*"))


def test_a_disk_too_small_for_it(cli: CommandLine, bundle: str) -> None:
    with small_disk(cli.folder / "small", "60m") as small:
        cli.refused("disk_full", "models", "export", SMOLLM, "--to", "small/b")
        assert list(small.iterdir()) == []
        site = CommandLine(small / "home", cli.folder)
        site.refused("disk_full", "models", "import", bundle)
        assert not any(file.stat().st_size for file in small.rglob("*") if file.is_file())


KILLED = """
import os, signal, sys
from pathlib import Path
from edgewright.models.bundle import export_bundle, import_bundle
from edgewright.models.catalog import Catalog
from edgewright.models.store import Store

def progress(done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)

catalog, file = Catalog.default(), Path(sys.argv[2])
if sys.argv[1] == "export":
    export_bundle([catalog.get("smollm2-135m")], file, Store(), progress=progress)
else:
    import_bundle(file, Store(), catalog, progress=progress)
"""


def test_killed_in_the_middle(cli: CommandLine, site: CommandLine, bundle: str) -> None:
    def killed(machine: CommandLine, what: str, file: str) -> None:
        command = [sys.executable, "-c", KILLED, what, file]
        ended = subprocess.run(command, env=machine.env, cwd=machine.folder)
        assert ended.returncode == -signal.SIGKILL

    whole = (cli.folder / bundle).read_bytes()
    killed(cli, "export", bundle)
    assert (cli.folder / bundle).read_bytes() == whole
    killed(cli, "export", "other.bundle")
    assert not (cli.folder / "other.bundle").exists()
    names = {file.name for file in cli.folder.iterdir()}
    half = {name for name in names if name.startswith(".exporting-")}
    assert len(half) == 1, "the second cleared up after the first, and nobody yet after it"
    cli("models", "export", SMOLLM, "--to", bundle).well()
    assert {file.name for file in cli.folder.iterdir()} == names - half

    killed(site, "import", bundle)
    site.refused("model_not_pulled", "ask", "Hello!", "--model", SMOLLM, "--offline")
    site("models", "import", bundle).well()
    (blob,) = site.home.rglob("sha256-*")
    assert blob.parent.name == "blobs" and blob.stat().st_size == SIZE
    assert sum(file.stat().st_size for file in site.home.rglob("*")) < 1.1 * SIZE
