"""`edgewright test`: a person's own cases on their own agent."""

from __future__ import annotations

from pathlib import Path

import pytest
from commandline import CommandLine

AGENT = '''
from edgewright import Agent, Config, ScriptedEngine

call = {"tool": "find_book", "arguments": {"title": "Dune"}}
script = [call, "There are 2 copies.", "Which book?", "Hello!"]
agent = Agent(Config(name="shop"), engine=ScriptedEngine(script))

@agent.tool
def find_book(title: str) -> str:
    """Find a book."""
    print("looking")
    return "2 copies"
'''

CASES = """
- {id: dune, kind: lookup, say: "Is Dune there?", calls: [find_book: {title: dune}], reply: "2"}
- {id: emma, kind: lookup, say: "Is Emma there?", calls: [find_book: {title: Emma}]}
- {id: hello, kind: talk, say: Hello!, calls: [], forbidden: [find_book]}
"""


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    (cli.folder / "shop.py").write_text(AGENT)
    (cli.folder / "cases.yaml").write_text(CASES)
    return cli


def test_cases_that_fail_are_shown_and_decide_the_exit_status(shop: CommandLine) -> None:
    ended = shop("test", "shop.py:agent", "cases.yaml")
    assert ended.status == 1
    (failed,) = [line for line in ended.out.splitlines() if "✗" in line]
    assert "cases.yaml:3 emma:" in failed
    assert 'expected find_book(title="Emma"), got no call' in failed
    assert "lookup" in ended.out and "50.0" in ended.out and "total" in ended.out
    assert not (shop.home / "sessions.db").exists()


def test_the_report_in_json_has_every_case(shop: CommandLine) -> None:
    ended = shop("test", "shop.py:agent", "cases.yaml", "--json", "--only", "lookup")
    assert ended.status == 1
    (report,) = ended.events  # what the tool prints is elsewhere
    assert [(case["id"], case["right"]) for case in report["cases"]] == [
        ("dune", True),
        ("emma", False),
    ]
    (row,) = report["rows"]
    assert (row["name"], row["right"], row["cases"]) == ("lookup", 1, 2)
    assert row["low"] < 50 < row["high"]


def test_all_right_is_exit_status_0(shop: CommandLine) -> None:
    (shop.folder / "one.yaml").write_text(CASES.splitlines()[1])
    ended = shop("test", "shop.py", "one.yaml", "--dry").well()
    assert "looking" not in ended.out + ended.err


@pytest.mark.parametrize(
    ("cases", "more", "said"),
    [
        ("- {id: a, say: x}\n- {id: b, sya: x}\n", (), "line 2"),
        ("- {id: b, sya: x}\n", (), "Did you mean 'say'?"),
        ("- {id: b, say: x, calls: [find_boook: {}]}\n", (), "Did you mean 'find_book'?"),
        ("- {id: b, say: x, kind: lookup}\n", ("--only", "lokup"), "Did you mean 'lookup'?"),
    ],
)
def test_a_mistake_in_the_file_is_told(
    shop: CommandLine, cases: str, more: tuple[str, ...], said: str
) -> None:
    (shop.folder / "wrong.yaml").write_text(cases)
    assert said in shop.refused("config_invalid", "test", "shop.py:agent", "wrong.yaml", *more)


def test_an_agent_or_file_that_is_not_there_is_told(shop: CommandLine, tmp_path: Path) -> None:
    assert "no file" in shop.refused("config_invalid", "test", "other.py:agent", "cases.yaml")
    assert "cannot be read" in shop.refused("config_invalid", "test", "shop.py:agent", "no.yaml")
