"""What `import edgewright` gives, and what it must not cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edgewright


def test_the_public_names_are_these() -> None:
    assert edgewright.__all__ == [
        "Agent",
        "ArgumentsRepaired",
        "Config",
        "ContextTrimmed",
        "Decision",
        "EdgewrightError",
        "EngineSwitched",
        "Event",
        "Message",
        "ModelChosen",
        "ModelLoaded",
        "ModelWarning",
        "Pending",
        "PendingChanged",
        "PowerChanged",
        "Repair",
        "ResourceConfig",
        "SchemaDegraded",
        "SchemaIgnored",
        "ScriptedEngine",
        "Source",
        "TextDelta",
        "Tool",
        "ToolCall",
        "ToolCallFinished",
        "ToolCallStarted",
        "TurnFinished",
        "errors",
        "set_resources",
    ]
    for name in edgewright.__all__:
        assert getattr(edgewright, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Agnt"):
        edgewright.Agnt  # noqa: B018


def test_every_error_has_a_code_of_its_own_and_is_in_the_tree() -> None:
    errors = edgewright.errors
    kinds = [v for v in vars(errors).values() if isinstance(v, type)]
    assert all(issubclass(kind, edgewright.EdgewrightError) for kind in kinds)
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert all(kind.__name__ in (errors.__doc__ or "") for kind in kinds)


@pytest.mark.parametrize(
    ("code", "absent"),
    [
        (
            "import edgewright",
            {"httpx", "httpcore", "pydantic", "anyio", "typer", "fastapi", "torch", "numpy"},
        ),
        (
            "from edgewright import Agent",
            {"httpx", "typer", "rich", "fastapi", "torch", "numpy", "xllamacpp", "yaml"},
        ),
    ],
)
def test_an_import_pulls_in_no_more_than_it_needs(code: str, absent: set[str]) -> None:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    assert absent.isdisjoint(out.split())
