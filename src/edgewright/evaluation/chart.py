"""A bar chart as a picture that needs nothing but a browser: plain SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

ROW: Final = 30  # pixels
LABEL: Final = 130
WIDTH: Final = 420  # of the longest bar
NOTE: Final = 110

_STYLE: Final = (
    "text{font:14px system-ui,sans-serif;fill:#1f2328}"
    ".title{font-weight:600}.bar{fill:#8c959f}.best{fill:#1a7f37}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.bar{fill:#6e7681}.best{fill:#3fb950}}"
)


def bars(title: str, rows: Sequence[tuple[str, float, str]], best: str = "") -> str:
    """The chart: one bar for each label, value and note, in that order, from zero. The bar of
    `best` stands out."""
    longest = max((value for _, value, _ in rows), default=0.0) or 1.0
    width, height = LABEL + WIDTH + NOTE, ROW * (len(rows) + 1) + 10
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" aria-label="{_attribute(title)}">',
        f"<style>{_STYLE}</style>",
        f'<text class="title" x="0" y="20">{escape(title)}</text>',
    ]
    for n, (label, value, note) in enumerate(rows, start=1):
        top, length = n * ROW + 4, max(1.0, WIDTH * value / longest)
        kind = "best" if label == best else "bar"
        drawn += [
            f'<text x="{LABEL - 10}" y="{top + 17}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{top}" width="{length:.1f}" height="{ROW - 8}"/>',
            f'<text x="{LABEL + length + 8:.1f}" y="{top + 17}">{escape(note)}</text>',
        ]
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _attribute(text: str) -> str:
    return escape(text, {'"': "&quot;"})
