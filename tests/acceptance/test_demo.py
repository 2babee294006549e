"""`make demo`, which runs `python -m apps.customer_service.demo`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def demo(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, capture_output=True, text=True, timeout=200
    )


def test_the_demo_makes_the_calls_and_the_ticket(home_with_models: Path) -> None:
    shown = demo("-m", "apps.customer_service.demo")

    assert shown.returncode == 0, shown.stdout + shown.stderr
    order, laptop, greeting = re.split(r"\nyou › ", shown.stdout)[1:]
    assert "→ lookup_order_status {'order_id': '12345'}" in order
    assert '← {"id":"12345","item":"laptop","status":"shipped"' in order
    called = re.search(
        r"→ open_ticket \{'problem': (.+), 'priority': '(low|normal|high)'\}", laptop, re.DOTALL
    )
    assert called
    assert "screen is broken" in called[1]
    assert "flickers" not in shown.stdout, "the example of the tool, which the customer never said"
    assert '← {"ticket":1,' in laptop
    assert "→" not in greeting
    for turn in (order, laptop, greeting):
        assert re.search(r"first token .* s · \d+ tokens/s · \d+ tokens · \d+ MB resident", turn)
    assert "tickets in the file: [{'id': 1," in greeting
    assert "All three requests were handled rightly" in greeting


@pytest.mark.slow
def test_the_demo_fails_when_a_required_call_is_not_made(home_with_models: Path) -> None:
    # On a model that cannot choose tools.
    program = (
        "import sys; from apps.customer_service import demo; "
        "demo.MODEL = 'smollm2-135m'; sys.exit(demo.main())"
    )
    shown = demo("-c", program)

    assert shown.returncode == 1, shown.stdout + shown.stderr
    assert "✗ " in shown.stdout
    assert "handled rightly" not in shown.stdout
    assert "Traceback" not in shown.stderr
