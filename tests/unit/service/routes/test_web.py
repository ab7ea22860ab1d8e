"""The explorer page, as a browser asks for it."""

import gzip
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from matcaps.service.keys import digest
from matcaps.service.routes.web import FOLDER, read_files
from tests.support.doubles import Client, FakeSession, serve

ROOT = Path(__file__).parents[4]
MOST_BYTES = 120_000  # of the whole page, as it is sent


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with serve(tmp_path_factory.mktemp("models"), {"norb/1": FakeSession()}) as client:
        yield client


class Page(HTMLParser):
    """The links of a page, its inline scripts and styles, and its base."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.inline: list[str] = []
        self.base = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "base":
            self.base = attributes["href"]
        elif link := attributes.get("href", attributes.get("src")):
            self.links.append(link)
        elif tag in ("script", "style"):
            self.inline.append(tag)
        self.inline += [name for name in attributes if name == "style" or name.startswith("on")]
        self.ids += [attributes["id"]] if "id" in attributes else []


def test_the_root_is_the_explorer_page(client: Client) -> None:
    """GET / is the page; its policy allows the service's own files and no inline script or style."""
    answer = client.get("/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'self'; img-src 'self' blob:;")
    assert "unsafe" not in policy
    page = Page(answer.text)
    assert not page.inline
    assert len(set(page.ids)) == len(page.ids)


def test_every_link_and_import_of_the_page_is_relative_and_answered(client: Client) -> None:
    """The links of the page, and the imports of each module."""
    page = Page(client.get("/").text)
    assert page.base == ""
    for link in page.links:
        assert not re.match(r"/|\w+:", link)
        assert client.get(f"/{link}").status_code == 200, link
    for name in sorted(read_files()):
        if name.endswith(".js"):
            source = client.get(f"/web/{name}").text
            imported = re.findall(r"^(?:import|\} from) .*?'(.+)';$", source, re.MULTILINE)
            assert {f"/web/{found.removeprefix('./')}" for found in imported} <= {
                f"/web/{name}" for name in read_files()
            }


def test_the_page_names_the_path_of_a_proxy(tmp_path: Path) -> None:
    """Then its links hold whether or not the browser's address ends with a slash."""
    with serve(tmp_path, {"norb/1": FakeSession()}, root_path="/ai/capsules") as client:
        for path in ("/ai/capsules", "/ai/capsules/", "/"):
            answer = client.get(path, follow_redirects=False)
            assert answer.status_code == 200
            assert Page(answer.text).base == "/ai/capsules/"
        assert client.get("/ai/capsules/web/main.js").status_code == 200


def test_files_have_their_types(client: Client) -> None:
    """Browsers run modules only with a type of JavaScript."""
    kinds = {"main.js": "text/javascript", "base.css": "text/css", "icon.svg": "image/svg+xml"}
    kinds |= {"turntable.webp": "image/webp", "digit.png": "image/png"}
    for name, kind in kinds.items():
        answer = client.get(f"/web/{name}")
        assert answer.headers["content-type"].partition(";")[0] == kind
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.content == (FOLDER / name).read_bytes()


@pytest.mark.parametrize(
    "path", ["/web", "/web/", "/web/none.js", "/web/index.html", "/web/../app.py", "/web/%2e%2e/app.py"]
)
def test_other_files_are_not_found(client: Client, path: str) -> None:
    """Only the page's own files are answered."""
    assert client.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/", "/web/main.js", "/web/digit.png"])
def test_a_browser_that_has_a_file_gets_304(client: Client, path: str) -> None:
    """By its tag, alone or among others, weak or strong; another tag gets the file."""
    first = client.get(path)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for tags in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get(path, headers={"if-none-match": tags})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert client.get(path, headers={"if-none-match": '"other"'}).status_code == 200


def test_text_is_compressed_where_the_client_accepts_it(client: Client) -> None:
    """Each encoding has its tag; pictures are compressed already."""
    plain = client.get("/web/main.js", headers={"accept-encoding": "identity"})
    packed = client.get("/web/main.js", headers={"accept-encoding": "br, gzip"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert packed.headers["vary"] == "accept-encoding"
    assert packed.headers["etag"] != plain.headers["etag"]
    tags = {"if-none-match": plain.headers["etag"], "accept-encoding": "gzip"}
    assert client.get("/web/main.js", headers=tags).status_code == 200
    assert "content-encoding" not in client.get("/web/digit.png", headers={"accept-encoding": "gzip"}).headers


def test_the_page_weighs_less_than_120_kilobytes() -> None:
    """All its files together, as they are sent."""
    sizes = {name: len(file.packed or file.plain) for name, file in read_files().items()}
    assert sum(sizes.values()) < MOST_BYTES, sizes
    for file in read_files().values():
        assert file.packed is None or gzip.decompress(file.packed) == file.plain


def test_the_examples_are_those_of_the_project() -> None:
    """The page sends the same bytes as the README's commands."""
    for name in ("airplane", "digit", "truck"):
        assert (FOLDER / f"{name}.png").read_bytes() == (ROOT / "examples" / f"{name}.png").read_bytes()


def test_the_page_needs_no_key_and_the_models_do(tmp_path: Path) -> None:
    """A browser opens the page without a key, and the page asks its reader for one."""
    keys = tmp_path / "keys"
    keys.write_text(f"ann sha256:{digest('first')}\n")
    with serve(tmp_path / "models", {"norb/1": FakeSession()}, api_keys=keys) as client:
        assert client.get("/").status_code == 200
        assert client.get("/web/main.js").status_code == 200
        assert client.get("/models").status_code == 401
