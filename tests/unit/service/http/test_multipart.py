"""A part of a form is a file if it has a filename, however the client writes it."""

import pytest

from matcaps.service.errors import MalformedError
from matcaps.service.http.multipart import Part, parse_form


def part_of(disposition: str, encoding: str = "utf-8") -> Part:
    """The only part of a form."""
    head = f"Content-Disposition: form-data; {disposition}".encode(encoding)
    body = b"--edge\r\n" + head + b"\r\n\r\ncontent\r\n--edge--\r\n"
    (part,) = parse_form("multipart/form-data; boundary=edge", body, 1)
    assert (part.name, bytes(part.content)) == ("images", b"content")
    return part


@pytest.mark.parametrize(
    ("disposition", "filename"),
    [
        ('name="images"; filename="a.png"', "a.png"),
        ("name=images; filename=a.png", "a.png"),
        ('name="images"; filename=""', ""),
        ("name=\"images\"; filename*=UTF-8''%e5%90%8d.png", "名.png"),
        ("name=images; filename*=utf-8'en'a%20b.png", "a b.png"),
        ("name=images; filename*=\"utf-8''a.png\"", "a.png"),
        ("name=images; filename*=iso-8859-1''caf%e9.png", "café.png"),
        ("filename*=utf-8''a.png; name=images", "a.png"),
        ("name=images; FILENAME*=utf-8''a.png", "a.png"),
        ("name=images; filename*=utf-8''", ""),
        ("name=images; filename*=a.png", "a.png"),
        ("name=images; filename=plain.png; filename*=utf-8''extended.png", "plain.png"),
        ("name=images; filename*=utf-8''extended.png; filename=plain.png", "plain.png"),
    ],
)
def test_a_part_with_a_filename_is_a_file(disposition: str, filename: str) -> None:
    """In the plain or the extended form (RFC 5987); the plain one wins."""
    assert part_of(disposition).filename == filename


@pytest.mark.parametrize("charset", ["nonsense", "utf-16", "ascii", ""])
def test_a_filename_in_an_unknown_or_wrong_charset_is_a_file_too(charset: str) -> None:
    """Only whether there is a name matters."""
    assert part_of(f"name=images; filename*={charset}''caf%e9.png").filename is not None


@pytest.mark.parametrize(
    "disposition",
    ["name=images", "name=images; other=\"filename*=utf-8''a.png\"", f"name=images; filename*{'9' * 5000}*=a"],
)
def test_a_part_without_a_filename_is_text(disposition: str) -> None:
    """The words in another parameter are no filename."""
    assert part_of(disposition).filename is None


@pytest.mark.parametrize("disposition", ["name*=utf-8''images; filename=a.png", "filename*=utf-8''a.png"])
def test_a_part_needs_a_plain_name(disposition: str) -> None:
    """The extended form of the name is not read (RFC 7578, section 4.2)."""
    with pytest.raises(MalformedError, match="with a name"):
        part_of(disposition)
