"""The documents: links, length, routes, settings and scripts that they name."""

import re
from pathlib import Path

import pytest

from matcaps.service.settings import Settings
from tests.support.doubles import FakeSession, serve

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("model/**/*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ROUTE = re.compile(r"`(?:GET|POST) (/[^`\s]*)`")
UNDOCUMENTED = {"/", "/docs", "/openapi.json"}  # FastAPI leaves these out of its own schema

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    """A relative link names a file of the checkout, and its anchor a heading there."""
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading in {target.name}"


@each_page
def test_every_python_example_can_be_parsed(page: Path) -> None:
    """Blocks marked as Python are valid Python."""
    for example in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        compile(example, str(page), "exec")


@each_page
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    """Each MATCAPS_ variable of a page is a field of the settings, but for the one of the client."""
    named = set(re.findall(r"MATCAPS_[A-Z0-9_]+", page.read_text())) - {"MATCAPS_API_KEY"}  # of matcaps predict
    assert named <= {f"MATCAPS_{field.upper()}" for field in Settings.model_fields}


@each_page
def test_every_script_that_a_page_names_exists(page: Path) -> None:
    """Each scripts/NAME of a page is a file."""
    named = set(re.findall(r"\bscripts/[a-z-]*[a-z]", page.read_text()))
    assert {name for name in named if not (ROOT / name).is_file()} == set()


def test_every_file_of_the_architecture_page_exists() -> None:
    """Each path of a source file or folder in docs/architecture.md is there."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = re.findall(
        r"`((?:matcaps|model|kernels|images|training|service|client|tests|benchmarks|checks|scripts)/[\w./-]*)`", text
    )
    assert {name for name in named if not (ROOT / name).exists()} == set()


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_every_part_of_the_package_is_in_the_lists_of_folders(page: str) -> None:
    """The pages that list the folders have each folder that matcaps/ links to."""
    parts = {path.name for path in (ROOT / "matcaps").iterdir() if path.is_symlink()}
    assert parts
    lines = (ROOT / page).read_text().splitlines()
    assert {part for part in parts if not any(re.match(rf"(\| `)?{part}/", line) for line in lines)} == set()


def test_the_readme_is_short() -> None:
    """The README has at most 150 lines."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_the_table_of_routes_is_that_of_the_application(tmp_path: Path) -> None:
    """docs/serving.md lists exactly the routes that the application has."""
    section = (ROOT / "docs" / "serving.md").read_text().partition("\n## Routes\n")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    with serve(tmp_path, {"norb/1": FakeSession()}) as client:
        paths = set(client.get("/openapi.json").json()["paths"])
    assert set(ROUTE.findall(table)) == paths | UNDOCUMENTED
