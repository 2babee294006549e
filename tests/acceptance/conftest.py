"""The command line to test, in a home of its own with links to the pulled models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import CommandLine

from homes import link_models

SHOP = '''
"""A shop whose orders are in a real SQLite file beside this one."""

import sqlite3
from pathlib import Path

from edgewright import Agent, Config

DATABASE = Path(__file__).with_name("shop.db")

agent = Agent(
    Config(name="shop", model_alias="qwen2.5-coder-0.5b", max_tokens=60, temperature=0.0),
    instructions="You are the assistant of a shop. Answer in one sentence.",
)


@agent.tool
def lookup_order_status(order_id: str) -> dict:
    """Look up the status of an order by its id."""
    with sqlite3.connect(DATABASE) as db:
        row = db.execute("SELECT status FROM orders WHERE id = ?", [order_id]).fetchone()
    if row is None:
        raise LookupError(f"there is no order {order_id}")
    return {"order": order_id, "status": row[0]}
'''

BRIEF = """
from edgewright import Agent, Config

agent = Agent(Config(model_alias="smollm2-135m", max_tokens=24))
"""


@pytest.fixture
def brief(cli: CommandLine) -> str:
    """An agent on the smallest model that never says more than 24 tokens, for --agent."""
    (cli.folder / "brief.py").write_text(BRIEF)
    return "brief.py:agent"


@pytest.fixture
def cli(home_with_models: Path, tmp_path: Path) -> Iterator[CommandLine]:
    """`edgewright` in the test's own home and folder."""
    command_line = CommandLine(home_with_models, tmp_path)
    yield command_line
    command_line.close()


@pytest.fixture(scope="module")
def shared_cli(
    tmp_path_factory: pytest.TempPathFactory, smollm_path: Path, warm: Path
) -> Iterator[CommandLine]:
    """The same for all tests of a file, which then keep to sessions of their own."""
    home = tmp_path_factory.mktemp("shared-home")
    link_models(smollm_path.parent.parent, home, warm)
    command_line = CommandLine(home, tmp_path_factory.mktemp("shared-folder"))
    yield command_line
    command_line.close()


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an agent file, shop.py, and of its database, in which 12345 is shipped."""
    import sqlite3

    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.py").write_text(SHOP)
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT)")
        db.executemany(
            "INSERT INTO orders VALUES (?, ?)",
            [("12345", "shipped, arrives on Friday"), ("12346", "delivered on Monday")],
        )
    return folder
