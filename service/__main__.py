"""``matcaps serve``: serves a folder of models over HTTP."""

import logging
import os
import signal
import sys

from pydantic import ValidationError
from pydantic_settings import SettingsError

from matcaps.service.app import create_app
from matcaps.service.engine.loader import opener_of
from matcaps.service.errors import StartError
from matcaps.service.server import Server, addresses, listen, url
from matcaps.service.settings import Settings, warnings_of
from matcaps.service.telemetry.logs import configure


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
    logging.getLogger("python_multipart").setLevel(
        logging.ERROR
    )  # it warns of each broken form, and so does the response
    try:
        app = create_app(settings, opener_of(settings), log=request_log)
        listener = listen(settings.host, settings.port)
    except StartError as error:
        return _fail(str(error), 1)
    except (OSError, UnicodeError) as error:
        address = url(settings.host, settings.port).removeprefix("http://")
        return _fail(f"cannot listen at {address}: {getattr(error, 'strerror', None) or error}", 1)
    logging.getLogger("matcaps").info(
        "listening at %s, documentation at %s/docs", addresses(listener), settings.root_path
    )
    Server(app, settings).serve_until_told(listener)
    return 0


def _fail(text: str, status: int) -> int:
    print(f"matcaps serve: {text}", file=sys.stderr)
    return status
