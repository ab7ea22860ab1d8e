"""``matcaps serve``: serves a folder of models over HTTP."""

import logging
import os
import signal
import sys
from typing import Any

from pydantic import ValidationError
from pydantic_settings import SettingsError

from matcaps.service.app import create_app
from matcaps.service.engine.loader import opener_of
from matcaps.service.errors import StartError
from matcaps.service.server import Server, addresses, listen_together, url
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
        server = _server(settings, request_log)
        listeners = listen_together(settings.host, settings.port, settings.http_workers)
    except StartError as error:
        return _fail(str(error), 1)
    except (OSError, UnicodeError) as error:
        address = url(settings.host, settings.port).removeprefix("http://")
        return _fail(f"cannot listen at {address}: {getattr(error, 'strerror', None) or error}", 1)
    logging.getLogger("matcaps").info(
        "listening at %s, documentation at %s/docs", addresses(listeners[0]), settings.root_path
    )
    try:
        server.serve_until_told(listeners)
    except StartError as error:
        return _fail(str(error), 1)
    return 0


def _server(settings: Settings, request_log: Any) -> Server | Supervisor:
    if settings.http_workers > 1:
        return Supervisor(settings, opener_of(settings))
    return Server(create_app(settings, opener_of(settings), log=request_log), settings)


def _fail(text: str, status: int) -> int:
    print(f"matcaps serve: {text}", file=sys.stderr)
    return status
