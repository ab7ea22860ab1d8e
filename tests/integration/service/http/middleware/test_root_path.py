"""A service under a path behind nginx, which removes the path or leaves it there."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from string import Template

import httpx
import pytest

from benchmarks.harness.client import Request
from benchmarks.harness.process import Process, free_port
from tests.support.doubles import FakeSession, grey
from tests.support.listening import listening

PAGE = Path(__file__).parents[5] / "docs" / "deploy.md"
ROOT_PATH = "/capsules"
CONFIG = Template("""
daemon off;
worker_processes 1;
pid $folder/nginx.pid;
error_log stderr crit;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    upstream matcaps { server $service; }
    server {
        listen 127.0.0.1:$port;
        $location
    }
}
""")


def documented() -> str:
    """The location of docs/deploy.md, which removes the path."""
    found = re.search(r"location /capsules/ \{\n.*?\n\}", PAGE.read_text(), re.DOTALL)
    assert found is not None
    return found[0]


@pytest.fixture(params=["removed", "left"])
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx before a service with a root path."""
    program = shutil.which("nginx")
    assert program is not None, "the tests need nginx; scripts/test installs it or says how to"
    location, port = documented(), free_port()
    if request.param == "left":
        assert "proxy_pass http://matcaps/;" in location
        location = location.replace("proxy_pass http://matcaps/;", "proxy_pass http://matcaps;")
    with listening(tmp_path / "models", {"norb/1": FakeSession()}, root_path=ROOT_PATH) as service:
        address = service.address.removeprefix("http://")
        written = tmp_path / "nginx.conf"
        written.write_text(CONFIG.substitute(folder=tmp_path, port=port, service=address, location=location))
        with Process([program, "-c", str(written), "-p", str(tmp_path)], port) as nginx:
            nginx.wait_until_ready(Request(f"{ROOT_PATH}/health/ready"))
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
                yield client


def files_of(proxy: httpx.Client, page: httpx.Response, base: str = "") -> dict[str, httpx.Response]:
    """What a browser loads for a page, by the links in it."""
    home = page.url.join(base)
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text.partition("<body>")[0].replace(base or "none", ""))
    return {link: proxy.get(str(home.join(link))) for link in links if link}


def test_a_browser_finds_the_page_and_the_documentation(proxy: httpx.Client) -> None:
    """From the path of the proxy, with or without a slash, to both pages, their files, the schema and a route."""
    for start in (ROOT_PATH, f"{ROOT_PATH}/"):
        page = proxy.get(start, follow_redirects=True)
        assert page.status_code == 200
        files = files_of(proxy, page, f"{ROOT_PATH}/")
        assert {link: file.status_code for link, file in files.items()} == dict.fromkeys(files, 200)
        assert "web/main.js" in files
    page = proxy.get(f"{ROOT_PATH}/docs")
    files = files_of(proxy, page)
    assert {link: file.status_code for link, file in files.items()} == dict.fromkeys(files, 200)
    found = re.search(r"url: '([^']+)'", proxy.get(f"{ROOT_PATH}/docs/start.js").text)
    assert found is not None
    schema = proxy.get(str(page.url.join(found[1]))).json()
    (server,) = schema["servers"]
    (path,) = [path for path in schema["paths"] if path == "/models/{name}"]
    assert proxy.get(server["url"] + path.format(name="norb")).json()["name"] == "norb"


def test_requests_are_answered_under_the_path(proxy: httpx.Client) -> None:
    """With a query; outside of the path nginx itself answers."""
    headers = {"content-type": "image/png"}
    answer = proxy.post(f"{ROOT_PATH}/predict?model=norb", content=grey(1), headers=headers)
    assert answer.json()["model"]["name"] == "norb"
    assert proxy.get(f"{ROOT_PATH}/poses/{answer.json()['id']}").status_code == 200
    assert proxy.get(f"{ROOT_PATH}/poses/nothing").headers["content-type"] == "application/problem+json"
    assert list(proxy.get(f"{ROOT_PATH}/v2/models/nothing").json()) == ["error"]
    assert "application/problem+json" not in proxy.get("/models").headers["content-type"]
