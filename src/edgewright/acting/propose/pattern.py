"""Which regular expressions a grammar can hold a string to."""

from __future__ import annotations

import re

# What means the same to Python and to LLGuidance's engine, a token at a time.
_ESCAPE = r"\\(?:[dDwWsSnrtfv]|[!-/:;=?@\[-^`{-~]|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2})"
_TOKEN = re.compile(
    rf"{_ESCAPE}"
    rf"|\[\^?(?:{_ESCAPE}|(?!&&|--|~~)[^\\\[\]])+\]"
    r"|\(\?:|\(\?i:|\(\?P<\w+>|\((?!\?)|\)"
    r"|\{\d+(?:,\d*)?\}|[.|*+?^$]"
    r"|[^\\\[\](){}.|*+?^$]"
)


def enforceable(pattern: str) -> bool:
    """Whether both LLGuidance and Python, whose check comes after, read the pattern, and alike."""
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    tokens, at = [], 0
    while found := _TOKEN.match(pattern, at):
        tokens.append(found.group())
        at = found.end()
    return at == len(pattern) and _anchored(tokens)


def _anchored(tokens: list[str]) -> bool:
    """Whether each anchor is the first or last thing of the whole, or of an alternative."""
    depth = 0
    for n, part in enumerate(tokens):
        depth += part.startswith("(") - (part == ")")
        if part == "^" and (depth or (n > 0 and tokens[n - 1] != "|")):
            return False
        if part == "$" and (depth or (n + 1 < len(tokens) and tokens[n + 1] != "|")):
            return False
    return True
