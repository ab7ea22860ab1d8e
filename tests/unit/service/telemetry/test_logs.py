"""The log entries that a process writes to standard error."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
SCRIPT = """
import logging, structlog
from matcaps.service.telemetry.logs import configure
requests = configure({form!r}, {level!r})
structlog.contextvars.bind_contextvars(request_id="abc")
logging.getLogger("matcaps").info("serving %s", "norb")
logging.getLogger("uvicorn.error").debug("chatter")
requests.info("request", status=200, path="/caf\\u00e9")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("matcaps").exception("inference failed")
"""


def lines(form: str, level: str = "info") -> list[str]:
    """The lines that a process writes to standard error."""
    script = SCRIPT.format(form=form, level=level)
    result = subprocess.run([sys.executable, "-W", "error", "-c", script], cwd=ROOT, capture_output=True, check=True)
    assert result.stdout == b""
    return result.stderr.decode().splitlines()


def test_every_event_is_one_line_of_json() -> None:
    """Each event is one line of JSON with time, level and request id, tracebacks included."""
    served, request, failed = (json.loads(line) for line in lines("json"))
    assert served["event"] == "serving norb"
    assert served["logger"] == "matcaps"
    assert request["path"] == "/café"
    assert request["status"] == 200
    assert "ZeroDivisionError" in failed["exception"]
    for line, level in ((served, "info"), (request, "info"), (failed, "error")):
        assert line["level"] == level
        assert line["request_id"] == "abc"
        assert line["timestamp"].endswith("Z")


def test_auto_is_json_without_a_terminal() -> None:
    """The format auto writes JSON into a pipe or a file."""
    assert [json.loads(line)["event"] for line in lines("auto")] == ["serving norb", "request", "inference failed"]


def test_entries_below_the_level_are_not_written() -> None:
    """Entries below the level are not written."""
    assert [json.loads(line)["event"] for line in lines("json", "error")] == ["inference failed"]


def test_text_is_for_people() -> None:
    """The format text is readable text, not JSON."""
    first = lines("text")[0]
    assert "serving norb" in first
    assert not first.startswith("{")
