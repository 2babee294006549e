"""`--agent path.py:name`: agents of one's own, and what can be wrong with their files."""

from __future__ import annotations

import pytest
from commandline import CommandLine

HEAD = "from edgewright import Agent, Config\n\n"


def refused(cli: CommandLine, code: str, source: str, name: str = "agent") -> str:
    """What is said of an agent file with that source. Nothing of the turn is kept."""
    (cli.folder / "mine.py").write_text(source)
    told = cli.refused(code, "ask", "Hello!", "--agent", f"mine.py:{name}", "--session", "s")
    assert cli.turns("s") == []
    return told


def test_the_file_is_missing(cli: CommandLine) -> None:
    told = cli.refused("config_invalid", "ask", "Hello!", "--agent", "nowhere.py:agent")
    assert "There is no file nowhere.py" in told
    assert "--agent path/to/file.py:name" in told


def test_the_name_is_wrong_and_the_right_ones_are_told(cli: CommandLine) -> None:
    source = HEAD + "sales = Agent()\nsupport = Agent()\nhelp = 1\n"
    told = refused(cli, "config_invalid", source, name="help")
    assert "mine.py has no edgewright.Agent named 'help'" in told
    assert "Agents in it: sales, support" in told


def test_without_a_name_it_is_agent(cli: CommandLine) -> None:
    (cli.folder / "mine.py").write_text(
        "from edgewright import Agent, ScriptedEngine\n\n"
        "agent = Agent(engine=ScriptedEngine(['Hi.']))\n"
    )
    assert cli("ask", "Hello!", "--agent", "mine.py").well().out == "Hi.\n"


def test_modules_beside_the_file_can_be_imported(cli: CommandLine) -> None:
    folder = cli.folder / "my agents"
    folder.mkdir()
    (folder / "words.py").write_text("HELLO = 'Moin.'\n")
    (folder / "mine.py").write_text(
        "from edgewright import Agent, ScriptedEngine\nfrom words import HELLO\n\n"
        "agent = Agent(engine=ScriptedEngine([HELLO]))\n"
    )
    assert cli("ask", "Hello!", "--agent", "my agents/mine.py:agent").well().out == "Moin.\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def f(:\n", "mine.py is not Python: invalid syntax (mine.py, line 1)"),
        ("x = 1\nimport no_such_module\n", "mine.py failed in line 2: ModuleNotFoundError"),
        ("x = 1 / 0\n", "mine.py failed in line 1: ZeroDivisionError: division by zero"),
        ("\0", "mine.py is not Python"),
    ],
    ids=["syntax", "import", "exception", "binary"],
)
def test_the_file_does_not_run(cli: CommandLine, source: str, said: str) -> None:
    assert said in refused(cli, "config_invalid", source)


def test_a_file_that_is_not_called_py_is_python_all_the_same(cli: CommandLine) -> None:
    (cli.folder / "notes.txt").write_text("Dear diary,\n")
    told = cli.refused("config_invalid", "ask", "Hello!", "--agent", "notes.txt:agent")
    assert "notes.txt is not Python" in told


def test_a_model_and_an_agent_do_not_go_together(cli: CommandLine) -> None:
    (cli.folder / "mine.py").write_text(HEAD + "agent = Agent()\n")
    options = ("--agent", "mine.py:agent", "--model", "smollm2-135m")
    assert "--model and --agent" in cli.refused("config_invalid", "ask", "Hello!", *options)


def test_max_tokens_is_zero(cli: CommandLine) -> None:
    told = refused(cli, "config_invalid", HEAD + "agent = Agent(Config(max_tokens=0))\n")
    assert "max_tokens: Input should be greater than 0" in told


def test_the_model_is_unknown(cli: CommandLine) -> None:
    source = HEAD + "agent = Agent(Config(model_alias='qwen-coder'))\n"
    assert "did you mean qwen2.5-coder-0.5b?" in refused(cli, "model_unknown", source)


def test_the_model_cannot_chat(cli: CommandLine) -> None:
    source = HEAD + "agent = Agent(Config(model_alias='gemma-3-270m'))\n"
    assert "base model" in refused(cli, "config_invalid", source)


TOOL = HEAD + "agent = Agent()\n\n@agent.tool\n"


def test_a_tool_without_a_docstring(cli: CommandLine) -> None:
    source = TOOL + "def look_up(order: str) -> str:\n    return order\n"
    assert "Tool 'look_up' has no docstring" in refused(cli, "tool_invalid", source)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ("order: str, connection: Connection", "'connection'"),
        ("order", "'order'"),
        ("order: str, *rest: str", "'rest'"),
    ],
    ids=["unsupported", "no hint", "variadic"],
)
def test_a_tool_with_a_parameter_that_cannot_be_described(
    cli: CommandLine, parameters: str, named: str
) -> None:
    source = "from sqlite3 import Connection\n" + TOOL
    source += f"def look_up({parameters}) -> str:\n    '''Look up an order.'''\n    return ''\n"
    assert f"Tool 'look_up', parameter {named}" in refused(cli, "tool_invalid", source)


def test_two_tools_of_one_name(cli: CommandLine) -> None:
    tool = "@agent.tool\ndef look_up(order: str) -> str:\n    '''Look up.'''\n    return ''\n\n"
    told = refused(cli, "tool_invalid", HEAD + "agent = Agent()\n\n" + tool + tool)
    assert "two tools named 'look_up'" in told


def test_a_tool_whose_result_is_not_unicode(cli: CommandLine) -> None:
    (cli.folder / "mine.py").write_text(
        """
import os
from edgewright import Agent, ScriptedEngine

agent = Agent(engine=ScriptedEngine([{"tool": "newest_file", "arguments": {}}, "There it is."]))

@agent.tool
def newest_file() -> str:
    "The name of the newest file."
    return os.fsdecode(b"caf\\xe9.txt")
"""
    )
    asked = cli("ask", "Which?", "--agent", "mine.py:agent", "--session", "s", "--json").well()
    assert asked.events[1]["result"] == "caf?.txt"
    assert asked.end["text"] == "There it is."
