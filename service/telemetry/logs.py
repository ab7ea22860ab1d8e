"""The log: a line of JSON for each event, or coloured text for whoever sits before a terminal."""

import logging
import sys
from typing import Any, Literal

import orjson
import structlog
from structlog.types import Processor

Form = Literal["auto", "json", "text"]

SHARED: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(form: Form, level: str) -> Any:
    """Send everybody's lines to the standard error output, and return the logger for requests.

    The libraries' lines and ours come through the standard library's ``logging``. Requests are too many for it: their
    lines are written directly, in a fifth of the time.

    Args:
        form: ``auto`` is text on a terminal, JSON elsewhere.
        level: The lowest that is written.
    """
    text = sys.stderr.isatty() if form == "auto" else form == "text"
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = logging.StreamHandler(sys.stderr)
    last: list[Processor] = [structlog.processors.ExceptionRenderer(), structlog.processors.JSONRenderer(_json)]
    if text:
        last = [structlog.dev.ConsoleRenderer()]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*SHARED, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=number, handlers=[handler], force=True)
    return request_log(text, number)


def request_log(text: bool = False, level: int = logging.INFO) -> Any:
    """A logger that writes each line at once, past ``logging``."""
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
