"""``/docs`` is Swagger UI, and all of it comes from the service itself."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.doubles import Client, FakeSession, serve


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        yield client


def test_the_page_has_no_script_or_style_of_its_own(client: Client) -> None:
    """So its Content-Security-Policy can forbid them, and with them whatever somebody might inject."""
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page.text)


def test_every_file_of_the_page_comes_from_the_service(client: Client) -> None:
    """By relative addresses, with the types that browsers insist on."""
    links = re.findall(r'(?:src|href)="([^"]+)"', client.get("/docs").text)
    types = {".js": "javascript", ".css": "text/css", ".png": "image/png"}
    assert {Path(link).suffix for link in links} == set(types)
    for link in links:
        assert not re.match(r"/|\w+:", link), link
        answer = client.get(f"/{link}")
        assert answer.status_code == 200, link
        assert types[Path(link).suffix] in answer.headers["content-type"]


def test_a_file_that_a_browser_has_is_not_sent_again(client: Client) -> None:
    """It asks with the ETag that it got. The first time it gets the file compressed."""
    first = client.get("/docs/swagger-ui.css")
    assert first.headers["content-encoding"] == "gzip"
    again = client.get("/docs/swagger-ui.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path", ["/docs/", "/docs/none.js", "/docs/%2e%2e", "/docs/%2e%2e%2fdocs%2fstart.js", "/docs/a%00b"]
)
def test_there_are_no_other_files(client: Client, path: str) -> None:
    """Neither those of other folders nor folders."""
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_page_that_loads_from_other_hosts_is_gone(client: Client) -> None:
    """FastAPI's ReDoc."""
    assert client.get("/redoc").status_code == 404
