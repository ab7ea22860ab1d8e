"""The headers of a request as a dictionary, made once."""

from starlette.types import Scope

KEY = "matcaps.headers"  # in the scope of a request


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Values by name in lower case; of several with one name the first.

    >>> headers_of({"headers": [(b"accept", b"a"), (b"accept", b"b")]})
    {b'accept': b'a'}
    """
    found: dict[bytes, bytes] | None = scope.get(KEY)
    if found is None:
        found = scope[KEY] = dict(reversed(scope["headers"]))
    return found


def header_of(scope: Scope, name: bytes) -> str:
    """The value of a header, or an empty text."""
    return headers_of(scope).get(name, b"").decode("latin-1")
