"""A server in a process of its own, and the client and the loads that ask it."""

import asyncio
import sys
from collections.abc import Iterator

import pytest

from benchmarks.harness.client import Client, Request, ask
from benchmarks.harness.load import at_rate, by_callers
from benchmarks.harness.process import Process, StartError, cpu_s, free_port, memory_mib
from benchmarks.harness.servers import stand_in
from benchmarks.harness.trivial import write_model


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """The service over a device that takes 5 ms an image, with batches of one image and a queue of one."""
    models = tmp_path_factory.mktemp("models")
    write_model(models)
    with stand_in("--max-queue=1", image_ms=5, max_batch=1).running(models) as process:
        yield process


def test_a_server_that_ends_before_it_is_ready_is_an_error() -> None:
    """The message holds the exit status and the output."""
    command = [sys.executable, "-c", "print('no such thing'); exit(3)"]
    with Process(command, free_port()) as process, pytest.raises(StartError, match=r"status 3: no such thing"):
        process.wait_until_ready()


def test_a_process_that_is_stopped_returns_its_exit_status() -> None:
    """Of the first signal; ending it again changes nothing."""
    with Process([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        assert process.stop() == -15


def test_overload_is_refused_and_the_rest_answered(server: Process) -> None:
    """A load at a fixed rate gets 200 or 429, and at most what the device can do; callers who wait get 200."""
    request = stand_in(image_ms=5, max_batch=1).request.encode()
    ticks: list[int] = []
    outcome = asyncio.run(at_rate(server.port, request, 300, 1.5, lambda: ticks.append(1)))
    assert set(outcome.statuses) == {200, 429}
    assert outcome.broken == outcome.unsent == 0
    assert 20 < outcome.per_s < 210
    assert len(ticks) == 1
    waiting = asyncio.run(by_callers(server.port, request, 1, 0.5))
    assert set(waiting.statuses) == {200}
    assert waiting.percentile_ms(50) > 5


def test_cpu_time_and_memory_of_a_process_can_be_read(server: Process) -> None:
    """The main thread has used some time, and the process has written some memory."""
    main, others = cpu_s(server.pid)
    assert main > 0
    assert others >= 0
    assert memory_mib(server.pid) > 1


def test_a_client_opens_a_new_connection_when_the_server_closes_one(server: Process) -> None:
    """An answer to ``connection: close`` is the last one of its connection."""

    async def statuses() -> list[int]:
        client = Client(server.port)
        found = [
            (await client.ask(Request("/health/live", headers={"connection": kind}).encode())).status
            for kind in ("close", "keep-alive", "keep-alive")
        ]
        client.close()
        return found

    assert asyncio.run(statuses()) == [200, 200, 200]


def test_an_answer_holds_status_headers_and_body(server: Process) -> None:
    """Names of headers are in lower case."""
    answer = ask(server.port, Request("/health/live"))
    assert answer.status == 200
    assert answer.headers["content-length"] == str(len(answer.body))
    assert ask(server.port, Request("/nowhere")).status == 404


def test_a_port_without_a_listener_refuses_the_client() -> None:
    """Callers can tell it from a connection that ends."""
    with pytest.raises(ConnectionRefusedError):
        ask(free_port(), Request("/"))
