"""Reads files in base64, for ``/predict``, ``/poses`` and ``/v2``."""

import base64
import binascii
import re

from matcaps.service.errors import MalformedError

FOREIGN = re.compile(r"[^A-Za-z0-9+/=]")


def read_base64(text: str, where: str) -> bytes:
    """The file in a text: base64 of the standard alphabet with its padding, or a base64 data URL of it.

    Line breaks are left out, because base64 tools insert them.

    >>> read_base64("YWJj\\r\\nZA==", "images.0"), read_base64("data:image/png;base64,YWI=", "images.0")
    (b'abcd', b'ab')

    Raises:
        MalformedError: It is neither; the message names ``where`` and the first character that is wrong.
    """
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise MalformedError(f"{where} must be base64 or a base64 data URL, got another data URL")
    text = text.replace("\r", "").replace("\n", "")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        foreign = FOREIGN.search(text)
        what = f"got {foreign[0]!r}" if foreign else str(error)
        raise MalformedError(
            f"{where} is not valid base64: expected A-Z, a-z, 0-9, + and /, padded with =; {what}"
        ) from None
