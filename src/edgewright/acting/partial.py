"""The text of a reply, out of JSON that is still being written."""

from __future__ import annotations

from collections.abc import Callable


class PartialReply:
    """Fed the pieces of `{"reply": "…"}`, gives the new text of the reply to `on_text`."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self._on_text = on_text
        self._json = ""
        self._given = 0

    def feed(self, piece: str) -> None:
        from pydantic_core import from_json

        self._json += piece
        try:
            value = from_json(self._json, allow_partial="trailing-strings")
        except ValueError:  # not JSON so far, or in the middle of an escape
            return
        reply = value.get("reply") if isinstance(value, dict) else None
        if isinstance(reply, str) and len(reply) > self._given:
            self._on_text(reply[self._given :])
            self._given = len(reply)
