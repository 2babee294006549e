"""Files with cases: what they mean, and what is said of a mistake in them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewright.domain.errors import ConfigError
from edgewright.evaluation.casefile import read_cases
from edgewright.evaluation.conversation import Conversation

DOCS = Path(__file__).parents[3] / "docs" / "testing-agents.md"
TOOLS = ["find_book", "lend_book", "delete_loans"]


def read(text: str, tmp_path: Path) -> list[Conversation]:
    file = tmp_path / "cases.yaml"
    file.write_text(text)
    return read_cases(file, TOOLS)


def test_the_cases_of_the_documentation_are_read(tmp_path: Path) -> None:
    example = re.findall(r"```yaml\n(- id: .*?)```", DOCS.read_text(), re.DOTALL)[0]
    dune, lend, quoted = read(example, tmp_path)

    assert (dune.id, dune.category, dune.say, dune.line) == (
        "dune",
        "lookup",
        ("Is Dune there?",),
        1,
    )
    assert dune.calls is not None
    assert [(c.name, c.arguments) for c in dune.calls.expected] == [
        ("find_book", {"title": ["Dune"]})
    ]
    assert lend.say == ("I want to borrow Dune.", "Ann Lee", "yes")
    assert lend.calls is not None
    assert lend.calls.expected[0].arguments["reader"] == ["Ann Lee", "Ann"]
    assert lend.calls.expected[0].arguments["days"] == [14, None]
    assert (lend.ends, lend.reply) == (("reply",), (("lent", "borrowed"),))
    assert quoted.calls is not None and not quoted.calls.expected
    assert quoted.forbidden == ("delete_loans",)


def test_plain_words_are_texts_and_numbers_decimal(tmp_path: Path) -> None:
    (case,) = read(
        "- id: 7\n  say: yes\n  answers: {confirm: no}\n"
        "  calls: [find_book: {title: [2026-05-01, 9:30, on, 010, 1e3, true, null]}]\n",
        tmp_path,
    )
    assert (case.id, case.say, case.confirm) == ("7", ("yes",), "no")
    assert case.calls is not None
    values = case.calls.expected[0].arguments["title"]
    assert values == ["2026-05-01", "9:30", "on", 10, 1000.0, True, None]


def test_effects_are_paired_with_their_values(tmp_path: Path) -> None:
    one, two = read(
        '- {id: a, say: x, effect: "select 1", equals: [1, 2]}\n'
        '- {id: b, say: x, effect: ["select 1", "select 2"], equals: [1, 2]}\n',
        tmp_path,
    )
    assert one.effects == (("select 1", [1, 2]),)
    assert two.effects == (("select 1", 1), ("select 2", 2))


@pytest.mark.parametrize(
    ("text", "line", "said", "hint"),
    [
        ("- id: a\n  say: x\n  cals: []\n", 3, "has no 'cals'", "Did you mean 'calls'?"),
        ("- id: a\n", 1, "no 'say'", ""),
        ("- id: a\n  say: x\n- id: a\n  say: y\n", 3, "line 1", ""),
        ("- id: a\n  id: b\n  say: x\n", 2, "twice", ""),
        ("- id: a\n  say: x\n  calls:\n  - fnd_book: {}\n", 4, "fnd_book", "'find_book'"),
        ("- id: a\n  say: x\n  forbidden: [lend]\n", 3, "lend", "'lend_book'"),
        ("- id: a\n  say: x\n  calls: none\n", 3, "no list", "calls: []"),
        ("- id: a\n  say: x\n  calls:\n  - find_book: {title: []}\n", 4, "'title'", "[[]]"),
        ("- id: a\n  say: x\n  ends: confrm\n", 3, "confrm", "'confirm'"),
        ("- id: a\n  say: x\n  in_order: true\n", 3, "in_order", ""),
        ("- id: a\n  say: x\n  calls: []\n  in_order: maybe\n", 4, "true or false", ""),
        ("- id: a\n  say: x\n  effect: select 1\n", 1, "go together", ""),
        ("- id: a\n  say: x\n  effect: [a, b]\n  equals: [1]\n", 4, "2 effects", ""),
        ("- id: a\n  say: x\n  answers: {cofirm: y}\n", 3, "cofirm", "'confirm'"),
        ("- id: a\n  say: ['', x]\n", 2, "text is missing", ""),
        ("- id: a\n  say: [x\n- id: b", 3, "not YAML", "quotes"),
        ("id: a\nsay: x\n", 1, "no list of cases", ""),
        ("", 1, "no list of cases", ""),
        ("- just text\n", 1, "no mapping", ""),
    ],
)
def test_a_mistake_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, said: str, hint: str
) -> None:
    with pytest.raises(ConfigError, match=f"line {line}:") as caught:
        read(text, tmp_path)
    assert said in str(caught.value)
    assert hint in caught.value.hint and caught.value.hint


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_cases(tmp_path / "none.yaml")


@given(st.text(alphabet="-:[]{}&*!|>'\"#%@, \n\tidsay01", max_size=60))
def test_whatever_is_in_a_file_is_read_or_refused(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        try:
            read(text, Path(folder))
        except ConfigError as error:
            assert error.hint
