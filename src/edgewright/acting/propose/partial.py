"""The text of a reply, out of JSON that is still being written."""

from __future__ import annotations

from collections.abc import Callable


class PartialReply:
    """Fed the pieces of `{"reply": "…"}`, gives the new text of the reply to `on_text`; `text` is
    all that it gave."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self.text = ""
        self._on_text = on_text
        self._json = ""

    def feed(self, piece: str) -> None:
        from pydantic_core import from_json

        self._json += piece
        try:
            value = from_json(self._json, allow_partial="trailing-strings")
        except ValueError:  # not JSON so far, or in the middle of an escape
            return
        reply = value.get("reply") if isinstance(value, dict) else None
        if isinstance(reply, str) and len(reply) > len(self.text):
            self._on_text(reply[len(self.text) :])
            self.text = reply
