"""``matcaps serve``: serves a folder of models over HTTP."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

from pydantic import ValidationError
from pydantic_settings import SettingsError

from matcaps.service.app import create_app
from matcaps.service.engine.loader import opener_of
from matcaps.service.errors import StartError
from matcaps.service.server import Server, addresses, listen, reserve, url
from matcaps.service.settings import Settings, warnings_of
from matcaps.service.telemetry.logs import configure
from matcaps.service.workers.supervisor import Supervisor


def main(arguments: list[str]) -> int:
    """Serve until SIGTERM or SIGINT. Returns 0 after that, 1 if the service cannot start, and 2 for wrong options."""
    try:
        settings = Settings(_cli_parse_args=arguments)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        return _fail(f"{name}: {first['msg'].removeprefix('Value error, ')}, got {first['input']!r}", 2)
    except SettingsError as error:
        return _fail(f"{str(error).splitlines()[0]}; see --help", 2)
    # The first process of a container ignores signals without a handler, so it needs one while models load.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    request_log = configure(settings.log_format, settings.log_level)
    for sentence in warnings_of(os.environ):
        logging.getLogger("matcaps").warning(sentence)
    try:
        if settings.http_workers > 1:
            Supervisor(settings, opener_of(settings)).serve_until_told(
                _bound(reserve, settings), partial(_announce, settings)
            )
            return 0
        app = create_app(settings, opener_of(settings), log=request_log)
        listener = _bound(listen, settings)
    except StartError as error:
        return _fail(str(error), 1)
    _announce(settings, listener)
    Server(app, settings).serve_until_told(listener)
    return 0


def _bound(bind: Callable[[str, int], socket.socket], settings: Settings) -> socket.socket:
    try:
        return bind(settings.host, settings.port)
    except (OSError, UnicodeError) as error:
        address = url(settings.host, settings.port).removeprefix("http://")
        raise StartError(f"cannot listen at {address}: {getattr(error, 'strerror', None) or error}") from None


def _announce(settings: Settings, bound: socket.socket) -> None:
    path = settings.root_path
    logging.getLogger("matcaps").info(
        "listening at %s, explorer page at %s/, documentation at %s/docs", addresses(bound), path, path
    )


def _fail(text: str, status: int) -> int:
    print(f"matcaps serve: {text}", file=sys.stderr)
    return status
