"""``python -m service``: serve the models of a folder."""

import logging
import signal
import socket
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from service.app import create_app
from service.errors import StartError
from service.session import open_session
from service.settings import Settings


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit status: 0 after that, 1 if it cannot start, 2 for bad options."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of each broken form; the answer says it
    try:
        settings = Settings(_cli_parse_args=True)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        print(f"python -m service: {name}: {first['msg']}, found {first['input']!r}", file=sys.stderr)
        return 2
    except SettingsError as error:
        print(f"python -m service: {str(error).splitlines()[0]}; see --help", file=sys.stderr)
        return 2
    try:
        app = create_app(settings, lambda path: [open_session(path, settings.device, settings.threads)])
        listener = listen(settings.host, settings.port)
    except StartError as error:
        print(f"python -m service: {error}", file=sys.stderr)
        return 1
    except (OSError, UnicodeError) as error:
        address = f"{settings.host}:{settings.port}"
        print(
            f"python -m service: cannot listen at {address}: {getattr(error, 'strerror', None) or error}",
            file=sys.stderr,
        )
        return 1
    host, port = listener.getsockname()[:2]
    logging.getLogger("emcaps").info("listening at http://%s:%s, documentation at /docs", host, port)
    # uvicorn drains, then raises the signal again for whoever handled it before; a drained service is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda *_: app.state.service.reloader.now())
    config = uvicorn.Config(app, log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: The address is not this machine's, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.create_server((host, port), family=family, backlog=2048)
    # Made anew so that it knows its protocol is TCP: asyncio turns Nagle's algorithm off only for such sockets, and
    # with it on, each answer waits some 40 ms for an acknowledgement.
    return socket.socket(fileno=server.detach())


if __name__ == "__main__":
    sys.exit(main())
