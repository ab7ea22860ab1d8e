"""A file server on the loopback, some of whose places refuse, cut or replace their files."""

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Host:
    """A file server; its threads read the files and append to the requests."""

    files: dict[str, bytes]
    """By name, or by path for one place alone."""
    url: str = ""
    cut_at: dict[str, int] = field(default_factory=dict)
    """Files, by name or path, whose connection ends after so many bytes, although all were announced."""
    reset: bool = False
    """Whether such a connection is reset instead of closed."""
    refused: set[str] = field(default_factory=set)
    """Folders that answer 403."""
    requests: list[str] = field(default_factory=list)

    def place(self, folder: str) -> str:
        """The URL of a folder: each holds the same files."""
        return self.url.replace("/set/", f"/{folder}/")


@contextmanager
def file_server(files: dict[str, bytes]) -> Iterator[Host]:
    """The server, in a thread."""
    host = Host(dict(files))

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.requests.append(self.path)
            folder, _, name = self.path.rpartition("/")
            content = host.files.get(self.path, host.files.get(name))
            if folder.strip("/") in host.refused:
                self.send_error(403)
                return
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: host.cut_at.get(self.path, host.cut_at.get(name))])
            if host.reset:
                self.wfile.flush()
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with Path(os.devnull).open() as nothing:
                    os.dup2(nothing.fileno(), self.connection.fileno())  # closes it, whoever else holds it

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        host.url = f"http://127.0.0.1:{server.server_address[1]}/set/"
        yield host
        server.shutdown()
        thread.join()
