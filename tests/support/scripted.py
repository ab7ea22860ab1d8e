"""An HTTP server that answers from a script, and remembers what it was asked."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LIMIT_S = 30.0
Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Scripted:
    """The address of the server, the headers of each request, and an event that ends handlers that hang."""

    address: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    """A whole answer; underscores in the names of headers stand for hyphens."""

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {**headers, "content_length": str(len(body))}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return send


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Close the connection without an answer."""
    handler.close_connection = True


@contextmanager
def scripted(answers: Sequence[Answer | None]) -> Iterator[Scripted]:
    """A server that gives these answers in turn, the last one for ever; None: no answer until the test is over."""
    running = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            running.asked.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers.get("content-length", 0)))
            chosen = answers[min(len(running.asked), len(answers)) - 1]
            if chosen is None:
                running.over.wait(LIMIT_S)
                self.close_connection = True
            else:
                chosen(self)

        do_GET = do_POST = handle_one  # noqa: N815

        def log_message(self, format: str, *values: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        running.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.over.set()
            server.shutdown()
            thread.join(LIMIT_S)
