"""When a request that got no answer is sent again: by tenacity, whose clock and sleep these are."""

from __future__ import annotations

import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import httpcore

if TYPE_CHECKING:
    from tenacity import RetryCallState

BUSY = (429, 502, 503, 504)  # statuses that say "not now"
SECONDS = 20.0  # in which an endpoint is asked again, unless it has less to answer in
LONGEST = 5.0  # seconds between two tries, unless the server asks for more


@dataclass(frozen=True, slots=True)
class Retries:
    """At most `attempts` tries in all, the last begun within `seconds` of the first.

    Tried again is what failed before an answer began: no connection, or one of the `BUSY`
    statuses. Between tries is what Retry-After asks for and a random time, at most `pause` seconds
    at first and twice that each time; when Retry-After asks for more than is left, there is no
    further try.
    """

    attempts: int = 4
    seconds: float = SECONDS
    pause: float = 0.5

    @classmethod
    def within(cls, timeout: float) -> Retries:
        """Those of an endpoint that has `timeout` seconds to say something."""
        return cls(seconds=min(SECONDS, timeout))

    async def __call__(self, send: Callable[[], Awaitable[httpcore.Response]]) -> httpcore.Response:
        """The first answer worth having, or else the last one. Raises what the last `send` did."""
        import tenacity

        tries = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_may_pass) | tenacity.retry_if_result(_busy),
            stop=tenacity.stop_after_attempt(self.attempts)
            | tenacity.stop_before_delay(self.seconds),
            wait=self._wait,
            before_sleep=_close,
            retry_error_callback=_outcome,
        )
        response: httpcore.Response = await tries(send)
        return response

    def _wait(self, state: RetryCallState) -> float:
        asked = 0.0
        if state.outcome is not None and not state.outcome.failed:
            asked = retry_after(state.outcome.result().headers) or 0.0
        # Random from nothing on, so that those who were refused together do not return together.
        longest = min(LONGEST, self.pause * 2 ** (state.attempt_number - 1))
        return asked + random.uniform(0, longest)  # noqa: S311


def _busy(response: httpcore.Response) -> bool:
    return response.status in BUSY


def _may_pass(error: BaseException) -> bool:
    if tls_fault(error):
        return False  # a certificate does not get better
    return isinstance(error, httpcore.ConnectError | httpcore.ConnectTimeout)


def tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """What went wrong in making an encrypted connection, when that is what the error is about."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__  # httpcore raises its errors "from None"
    return error


async def _close(state: RetryCallState) -> None:
    if state.outcome is not None and not state.outcome.failed:
        await state.outcome.result().aclose()


def _outcome(state: RetryCallState) -> Any:
    assert state.outcome is not None  # for it is over
    return state.outcome.result()


def retry_after(headers: list[tuple[bytes, bytes]]) -> float | None:
    """The seconds that an answer asks to wait, in any of the header's forms; None without it."""
    for name, value in headers:
        if name.lower() == b"retry-after":
            text = value.decode("ascii", "replace").strip()
            if text.isdigit():
                return min(float(text), 1e9)
            try:
                return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
            except (ValueError, OverflowError):
                return None
    return None
