"""HTTP from one event loop: requests at a rate that does not wait for answers, or from callers who do.

wrk and its like ask again only when they are answered, so they ease off just when a server is overloaded. Here each
request has a time at which it is due, and its latency counts from there.
"""

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httptools

HOST = "127.0.0.1"
MOST_CONNECTIONS = 512
ANSWER_S = 30.0
IDLE_S = 2.0  # a server ends idle connections too, uvicorn after 5 s; a request sent at that moment would be lost


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes


@dataclass
class Outcome:
    """What became of the requests of one load.

    Attributes:
        seconds: The load lasted.
        statuses: How many answers of each.
        latencies_s: Of those with status 200, from when each was due.
        broken: Connections that ended before their answer, and answers that took longer than half a minute.
        unsent: Requests for which there were too many connections already.
        reasons: Why those that broke did.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    latencies_s: list[float] = field(default_factory=list)
    broken: int = 0
    unsent: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def per_s(self) -> float:
        """Answers of status 200 in a second."""
        return self.statuses[200] / self.seconds

    def percentile_ms(self, percent: float) -> float:
        """The latency that so many per cent of the good answers do not exceed.

        >>> Outcome(latencies_s=[0.004, 0.001, 0.003, 0.002]).percentile_ms(50)
        2.0
        """
        if not self.latencies_s:
            return math.nan
        ordered = sorted(self.latencies_s)
        return 1e3 * ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


class Connection(asyncio.Protocol):
    """One connection, which carries one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Answer] | None = None
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self.open = False
        self.idle_since = 0.0

    async def ask(self, request: bytes) -> Answer:
        """Send a request as it is, and wait for its answer.

        Raises:
            ConnectionError: There is none.
            TimeoutError: It takes too long.
        """
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self._body = b""
        self._transport.write(request)
        async with asyncio.timeout(ANSWER_S):
            return await self._answer

    def close(self) -> None:
        """End the connection."""
        self.open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self.open = transport, True

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail("the connection ended before the answer did")

    def on_body(self, body: bytes) -> None:
        """For the parser."""
        self._body += body

    def on_message_complete(self) -> None:
        """For the parser."""
        if not self._parser.should_keep_alive():
            self.open = False
        answer = Answer(self._parser.get_status_code(), self._body)
        self._parser = httptools.HttpResponseParser(self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError(reason))


class Client:
    """Connections to one port, reused."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()

    @property
    def busy(self) -> int:
        """Connections that wait for an answer."""
        return len(self._all) - len(self._idle)

    async def ask(self, request: bytes) -> Answer:
        """Send a request over an idle connection, or a new one.

        Raises:
            OSError: There is no connection, or it ends before the answer does.
            TimeoutError: The answer takes too long.
        """
        now = time.perf_counter()
        while self._idle and (not self._idle[-1].open or self._idle[-1].idle_since < now - IDLE_S):
            self._drop(self._idle.pop())
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.ask(request)
        except BaseException:
            self._drop(connection)
            raise
        if connection.open:
            connection.idle_since = time.perf_counter()
            self._idle.append(connection)
        else:
            self._drop(connection)
        return answer

    def close(self) -> None:
        """End all connections."""
        for connection in self._all:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        self._all.discard(connection)
        connection.close()

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(Connection, HOST, self._port)
        self._all.add(connection)
        return connection


def post(path: str, body: bytes, headers: Mapping[str, str], method: str = "POST") -> bytes:
    """A request's bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {HOST}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def at_rate(port: int, request: bytes, per_s: float, seconds: float, tick: Callable[[], object]) -> Outcome:
    """Requests at random moments (a Poisson process of fixed seed), so many a second on average.

    ``tick`` is called about once a second.
    """
    outcome, client, tasks = Outcome(), Client(port), set[asyncio.Task[None]]()
    chance, due, second = random.Random(0), 0.0, 1
    began = time.perf_counter()
    while (due := due + chance.expovariate(per_s)) < seconds:
        if (wait_s := began + due - time.perf_counter()) > 0:
            await asyncio.sleep(wait_s)
        if due >= second:
            second += 1
            tick()
        if client.busy >= MOST_CONNECTIONS:
            outcome.unsent += 1
            continue
        task = asyncio.create_task(_one(client, request, began + due, outcome))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    outcome.seconds = time.perf_counter() - began
    await asyncio.gather(*tasks)
    client.close()
    return outcome


async def by_callers(port: int, request: bytes, callers: int, seconds: float) -> Outcome:
    """Requests of so many callers, each of which asks again as soon as it is answered."""
    outcome, client = Outcome(), Client(port)
    began = time.perf_counter()

    async def call() -> None:
        while time.perf_counter() < began + seconds:
            await _one(client, request, time.perf_counter(), outcome)

    await asyncio.gather(*(call() for _ in range(callers)))
    outcome.seconds = time.perf_counter() - began
    client.close()
    return outcome


async def _one(client: Client, request: bytes, due: float, outcome: Outcome) -> None:
    try:
        answer = await client.ask(request)
    except (OSError, TimeoutError) as error:
        outcome.broken += 1
        outcome.reasons[f"{type(error).__name__} {error}"] += 1
        return
    outcome.statuses[answer.status] += 1
    if answer.status == 200:
        outcome.latencies_s.append(time.perf_counter() - due)
