"""What every test has: a home of its own, and the pulled models within reach.

`make test` pulls the models into the user's home before pytest starts. No test touches that home:
each gets an empty one, and a test that needs models asks for `home_with_models`, `qwen_path`,
`smollm_path` or `minilm_path`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewright.models.catalog import Catalog
from edgewright.models.store import Store, home
from homes import link_models

USERS_HOME = home()  # before any test changes the environment

QWEN = "qwen2.5-coder-0.5b"
SMOLLM = "smollm2-135m"
MINILM = "all-minilm-l6-v2"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The empty folder that EDGEWRIGHT_HOME names during the test."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("EDGEWRIGHT_HOME", str(folder))
    monkeypatch.setenv("OLLAMA_MODELS", str(folder / "ollama"))  # not the developer's own
    return folder


@pytest.fixture(scope="session")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of computed prefixes: the first test that needs one computes it for the rest."""
    return tmp_path_factory.mktemp("warm")


@pytest.fixture
def home_with_models(own_home: Path, warm: Path) -> Path:
    """The test's home, in which the pulled models are. Their files are links: what a test
    removes is the link, and what it does to them is seen by no other test."""
    pulled(QWEN), pulled(SMOLLM), pulled(MINILM)
    link_models(USERS_HOME / "models", own_home, warm)
    return own_home


@pytest.fixture(scope="session")
def qwen_path() -> Path:
    """The GGUF file of the default model, which can choose tools."""
    return pulled(QWEN)


@pytest.fixture(scope="session")
def smollm_path() -> Path:
    """The GGUF file of the smallest model: it loads in a second and chats."""
    return pulled(SMOLLM)


@pytest.fixture(scope="session")
def minilm_path() -> Path:
    """The GGUF file of the model that turns texts into vectors."""
    return pulled(MINILM)


def pulled(alias: str) -> Path:
    path = Store(USERS_HOME / "models").path(Catalog.default().get(alias))
    if path is None:
        pytest.fail(
            f"{alias} is not in {USERS_HOME}. Run: edgewright models pull {QWEN} {SMOLLM} {MINILM}",
            pytrace=False,
        )
    return path
