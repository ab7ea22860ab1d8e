"""The log: one line of JSON per event, or coloured text on a terminal."""

import logging
import sys
from typing import Any, Literal

import orjson
import structlog
from structlog.types import Processor

LogFormat = Literal["auto", "json", "text"]

SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(log_format: LogFormat, level: str) -> Any:
    """Send all log entries to standard error, and return the logger for requests.

    The entries of libraries and of the service go through the standard library's ``logging``. Requests have a logger
    of their own, which writes directly and takes a fifth of the time.

    Args:
        log_format: ``auto`` is text on a terminal, and JSON elsewhere.
        level: The lowest level that is written.
    """
    text = sys.stderr.isatty() if log_format == "auto" else log_format == "text"
    lowest = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    renderers: list[Processor] = [structlog.processors.ExceptionRenderer(), structlog.processors.JSONRenderer(_json)]
    if text:
        renderers = [structlog.dev.ConsoleRenderer()]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    logging.basicConfig(level=lowest, handlers=[handler], force=True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # warns of broken forms, and so does the response
    return request_log(text, lowest)


def request_log(text: bool = False, level: int = logging.INFO) -> Any:
    """A logger that writes each entry to standard error directly, without ``logging``."""
    renderer = structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(_json_bytes)
    target = structlog.PrintLogger(sys.stderr) if text else structlog.BytesLogger(sys.stderr.buffer)
    return structlog.wrap_logger(
        target,
        processors=[*SHARED, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    ).bind()


def _json_bytes(event: Any, **_: Any) -> bytes:
    return orjson.dumps(event, default=str)


def _json(event: Any, **_: Any) -> str:
    return _json_bytes(event).decode()
