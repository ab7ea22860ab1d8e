"""The attempts of one call: its deadline, what is tried again, and when. It decides, and the clients wait and send."""

import math
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from matcaps.client.errors import MatcapsError

AGAIN = (429, 503)  # the service is full, or not ready
FIRST_WAIT_S = 0.1  # where the service does not say how long; doubles with each attempt
LEAST_S = 0.001  # of a timeout: httpcore would not wait at all for 0


class Attempts:
    """The attempts of one call, from now until its deadline.

    Args:
        address: Of the service, for messages.
        timeout_s: Seconds until the deadline, over all attempts and the waits between them.
        most: Attempts.
        clock: Monotonic clock in seconds.
    """

    def __init__(self, address: str, timeout_s: float, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        if not timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, got {timeout_s}")
        self._address, self._timeout_s, self._most, self._clock = address, timeout_s, most, clock
        self._deadline_s = clock() + timeout_s
        self._made = 0

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; never 0 or less, so that it can be a timeout."""
        return max(LEAST_S, self._deadline_s - self._clock())

    def begin(self) -> dict[str, str]:
        """Count one more attempt; returns the header that tells the service how long it may take."""
        self._made += 1
        return {"x-request-timeout-ms": str(math.ceil(self.left_s * 1000))}

    def check(self) -> None:
        """Raise MatcapsError once the deadline has passed."""
        if self._clock() >= self._deadline_s:
            raise self.expired()

    def expired(self) -> MatcapsError:
        """The error of a call whose deadline has passed."""
        return MatcapsError(f"no answer of {self._address} within {self._timeout_s:g} s")

    def refused(self, status: int, retry_after: str | None, detail: str) -> float:
        """Seconds to wait after an answer that is an error.

        Raises:
            MatcapsError: It is not to be tried again, or not in the time and the number of attempts.
        """
        if status not in AGAIN:
            raise MatcapsError(detail, status)
        return self._wait_s(seconds_of(retry_after), detail, status)

    def broken(self, error: httpx.RequestError) -> float:
        """Seconds to wait after a connection that broke.

        Raises:
            MatcapsError: As above; nothing is tried again if the service cannot be reached or the deadline passed.
        """
        if isinstance(error, httpx.TimeoutException):
            raise self.expired() from None
        reason = _reason(error)
        if not isinstance(error, (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)):
            raise MatcapsError(f"cannot reach {self._address}: {reason}") from None
        return self._wait_s(None, f"the connection to {self._address} broke: {reason}", None)

    def _wait_s(self, asked_s: float | None, detail: str, status: int | None) -> float:
        tries = f"{self._made} attempt{'s' * (self._made != 1)}"
        if self._made >= self._most:
            raise MatcapsError(f"{detail} (gave up after {tries})", status)
        wait_s = FIRST_WAIT_S * 2 ** (self._made - 1) * random.uniform(0.5, 1) if asked_s is None else asked_s
        if wait_s >= (left_s := self._deadline_s - self._clock()):
            left = f"{max(0.0, left_s):.3g} s of {self._timeout_s:g} s are left"
            raise MatcapsError(f"{detail} (gave up after {tries}: the next is due in {wait_s:.3g} s, {left})", status)
        return wait_s


class Timeouts(Mapping[str, float]):
    """The timeouts of one request: what is left whenever httpcore looks, as it connects, writes and reads."""

    def __init__(self, attempts: Attempts) -> None:
        self._attempts = attempts

    def __getitem__(self, phase: str) -> float:
        return self._attempts.left_s

    def __iter__(self) -> Iterator[str]:
        return iter(("connect", "pool", "read", "write"))

    def __len__(self) -> int:
        return 4


def _reason(error: BaseException) -> str:
    """Why a connection failed: the reason of the system, which is among the causes."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno:
            # asyncio has a text of its own for the numbers of the system; those of name look-ups are negative.
            return os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        inner = cause.exceptions[0] if isinstance(cause, BaseExceptionGroup) else None  # several addresses of a name
        cause = inner or cause.__cause__ or cause.__context__
    return str(error) or type(error).__name__


def seconds_of(retry_after: str | None) -> float | None:
    """The wait that ``Retry-After`` asks for, as seconds or as a date; None if it does not say.

    >>> seconds_of("7"), seconds_of("Wed, 21 Oct 2015 07:28:00 GMT"), seconds_of("soon"), seconds_of(None)
    (7.0, 0.0, None, None)
    """
    text = (retry_after or "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    if until.tzinfo is None:  # "-0000": a time in UTC
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
