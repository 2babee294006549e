"""A client of a model server's JSON protocol: what all such protocols have in common.

Foreign failures are translated here, in `_refusal` and `_translated`, and nowhere else.
"""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import httpcore

from ...domain.errors import (
    ContextOverflowError,
    EngineError,
    EngineResponseError,
    EngineTimeoutError,
    EngineUnavailableError,
)
from ...domain.message import loads
from .http import Http, Refused, TooLong
from .retries import tls_fault

_log = logging.getLogger(__name__)

PROXY = "Check the proxy: HTTPS_PROXY=http://USER:PASSWORD@HOST:PORT, or HTTP_PROXY."
LISTING = 5.0  # seconds to wait for the names of the models, which only make an error better


class Client:
    """Asks the server behind `http` for `model`. `where` is what a person would call it."""

    an_answer = "an answer"  # what the protocol's answers are called
    advice = "Check the address."  # when they are something else

    def __init__(self, model: str, where: str, http: Http) -> None:
        self.model = model
        self.where = where
        self.http = http
        self._answered_by = ""

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object a POST is answered with. Raises EngineError and its kinds."""
        return self._object(await self._exchange("POST", path, body))

    async def get(self, path: str) -> Any:
        """The JSON value a GET is answered with. Raises EngineError and its kinds."""
        return self._value(await self._exchange("GET", path, None))

    async def served(self) -> list[str]:
        """The names of the models that the server has. Raises EngineError."""
        return []

    async def _exchange(self, method: str, path: str, body: Any) -> str:
        try:
            with self._translated():
                return await self.http.request(method, path, body)
        except Refused as refused:
            raise await self._refusal(refused, look=method != "GET") from None

    def _value(self, text: str) -> Any:
        try:
            return loads(text)
        except ValueError:
            raise self._garbage(text) from None

    def _object(self, text: str) -> dict[str, Any]:
        value = self._value(text)
        if not isinstance(value, dict):
            raise self._garbage(text)
        return value

    def _garbage(self, text: str) -> EngineResponseError:
        return EngineResponseError(
            f"{self.where} answered something that is not {self.an_answer}: "
            f"{self.http.without_key(text)[:120]!r}",
            hint=self.advice,
        )

    async def _refusal(self, refused: Refused, *, look: bool = True) -> EngineError:
        """The error that tells of it; with `look`, the server may be asked for its models."""
        message, kind = self._reason(refused.text)
        status = refused.status
        if _overflows(message, kind):
            return self._overflow(message)
        if status < 400:
            return EngineError(
                f"{self.where} sends elsewhere ({status}), which is not followed: "
                f"{self.http.without_key(refused.location)[:200]}",
                hint="If that is where the model is, give it as the address.",
            )
        said = f"{self.where} refused the request ({status}): {message}"
        if status == 407:
            return EngineUnavailableError(said, hint=PROXY)
        if status in (401, 403):
            return EngineError(said, hint="Check the API key.")
        if status in (429, 502, 503, 504):
            later = f" in {refused.after:.0f} s" if refused.after else " later"
            return EngineUnavailableError(said, hint=f"It is overloaded or starting; try{later}.")
        if look and (status == 404 or kind == "model_not_found"):
            names: list[str] = []
            with anyio.move_on_after(LISTING), suppress(EngineError):
                names = await self.served()
            if names and self.model not in names:
                return self._not_served(names)
        if "schema" in message.lower() or "grammar" in message.lower():
            return EngineError(said, hint="Simplify the schema or grammar.")
        return EngineError(said, hint="Check the endpoint's address and the model's name.")

    def _reason(self, text: str) -> tuple[str, str]:
        """`_reason`, short and without the key, which is taken out first: of a key that is cut, the
        beginning would stay."""
        message, kind = _reason(text)
        return self.http.without_key(message)[:300], kind

    def _broke(self, text: str) -> EngineError:
        """The error that the server told in the middle of its answer."""
        message, kind = self._reason(text)
        if _overflows(message, kind):
            return self._overflow(message)
        return EngineError(
            f"{self.where} gave up in the middle of its answer: {message}",
            hint="Try again; if it happens again, look at the server's log.",
        )

    def _not_served(self, names: list[str]) -> EngineError:
        some = ", ".join(sorted(names)[:10]) + (", …" if len(names) > 10 else "")
        return EngineError(
            f"{self.where} does not serve {self.model!r}. It serves: {some[:300]}",
            hint="Give one of these as Config(model_id=…).",
        )

    def _overflow(self, message: str) -> ContextOverflowError:
        return ContextOverflowError(
            f"The prompt does not fit the model's context window: {message}",
            hint="Shorten the message, or give the agent a larger Config(context=…).",
        )

    def _hear(self, answer: dict[str, Any], speaker: str) -> str:
        """Who answers. An answer that goes on in another model's voice is none. Between answers a
        name may change for good reasons (an alias moves on, a router picks), so that is logged."""
        name = answer.get("model")
        if not isinstance(name, str) or not name:
            return speaker
        name = self.http.without_key(name)[:100]
        if name == speaker:
            return speaker
        if speaker:
            raise EngineResponseError(
                f"{self.where} began its answer as {speaker} and went on as {name}.",
                hint="Try again; if it happens again, look at the server's log.",
            )
        if self._answered_by not in ("", name):
            _log.warning("%s now answers as %s, not %s", self.where, name, self._answered_by)
        self._answered_by = name
        return name

    @contextmanager
    def _reading(self, answer: dict[str, Any]) -> Iterator[None]:
        """An answer may be JSON and yet of another shape, in any place."""
        try:
            yield
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
            raise self._garbage(json.dumps(answer)) from None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except httpcore.ConnectError as error:
            raise self._unreachable(error) from error
        except httpcore.TimeoutException as error:
            raise EngineTimeoutError(
                f"{self.where} did not answer in time ({type(error).__name__}).",
                hint="Raise Config(timeout=…), or use a smaller model.",
            ) from error
        except httpcore.ProxyError as error:
            raise EngineUnavailableError(
                f"Cannot connect to {self.where}{self.http.by}: {error}", hint=PROXY
            ) from error
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
        ) as error:
            why = self.http.without_key(str(error)) or type(error).__name__
            raise EngineResponseError(
                f"The exchange with {self.where} broke off: {why[:300]}", hint=self.advice
            ) from None  # it may have quoted the key
        except TooLong:
            raise self._garbage("(an endless answer)") from None
        except UnicodeDecodeError as error:
            raise self._garbage(str(error)) from error

    def _unreachable(self, error: httpcore.ConnectError) -> EngineUnavailableError:
        cause = tls_fault(error)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return EngineUnavailableError(
                f"The certificate of {self.where} is not to be trusted: {cause.verify_message}",
                hint="Check the address. A certificate of your own is trusted when the environment "
                "variable SSL_CERT_FILE names the file of its authority.",
            )
        if cause is not None:
            return EngineUnavailableError(
                f"No encrypted connection to {self.where}: {cause.reason or cause}",
                hint="If the server speaks plain HTTP, write http:// in its address.",
            )
        return EngineUnavailableError(
            f"Cannot connect to {self.where}{self.http.by}: {error}",
            hint=PROXY if self.http.by else "Start the server, or check the address.",
        )


def _reason(text: str) -> tuple[str, str]:
    """Why a server refused, and of what kind that is, from any of the forms this is told in."""
    try:
        answer = json.loads(text)
        error = answer.get("error") or answer.get("message") or answer["detail"]
        if isinstance(error, dict):
            kind = str(error.get("type") or "")
            if error.get("code") == "model_not_found":
                kind = "model_not_found"
            return str(error["message"]), kind
        return str(error), ""
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return text.strip() or "no reason given", ""


def _overflows(message: str, kind: str) -> bool:
    return kind == "exceed_context_size_error" or "context length" in message.lower()
