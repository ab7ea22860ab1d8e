"""API keys: several, kept as hashes, compared in constant time. ``matcaps keys NAME`` makes one."""

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import sys
from pathlib import Path

from matcaps.service.errors import StartError

log = logging.getLogger("matcaps")

LINE = re.compile(r"(?P<name>\S+)\s+sha256:(?P<digest>[0-9a-f]{64})")


class Keys:
    """The keys of a file: a line ``NAME sha256:HASH`` each; empty lines and what follows # do not count.

    A key is 256 random bits, so a plain hash cannot be guessed back, and a slow one would protect nothing more.

    Args:
        path: The file; None: there are no keys, and everybody may ask.

    Raises:
        StartError: The file cannot be read, or holds no key, or a line that is none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._names: dict[str, str] = {} if path is None else _read(path)

    def __bool__(self) -> bool:
        return self._path is not None

    def refresh(self) -> None:
        """Read the file again; if it cannot be read, the keys stay as they were."""
        if self._path is None:
            return
        try:
            self._names = _read(self._path)
        except StartError as error:
            log.error("the API keys stay as they were: %s", error)

    def owner(self, key: str) -> str | None:
        """The hash that stands for a key, if it is one of ours."""
        given = digest(key)
        # All of them, whichever fits: the time says nothing about which, or how nearly.
        found = [known for known in self._names if hmac.compare_digest(known, given)]
        return found[0] if found else None


def digest(key: str) -> str:
    """The SHA-256 of a key, in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def check_exposure(host: str, keys: Keys, allow_anonymous: bool) -> None:
    """Refuse to listen where others can reach the service without a key, unless that is wanted.

    Raises:
        StartError: It would be open to whoever reaches it.
    """
    if keys or allow_anonymous or _is_loopback(host):
        return
    raise StartError(
        f"at {host} whoever reaches this machine could ask without a key; name a file of keys with MATCAPS_API_KEYS "
        f"(matcaps keys NAME makes one), or set MATCAPS_ALLOW_ANONYMOUS=1"
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"the file of API keys cannot be read: {path.name}: {_why(error)}") from None
    names = {}
    for number, line in enumerate(lines, 1):
        if not (line := line.partition("#")[0].strip()):
            continue
        if (match := LINE.fullmatch(line)) is None:
            raise StartError(f"line {number} of {path.name} is no API key: it must be NAME sha256:HASH")
        names[match["digest"]] = match["name"]
    if not names:
        raise StartError(f"{path.name} holds no API key; matcaps keys NAME makes one")
    return names


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "no reason given") if isinstance(error, OSError) else "it is no text"


def main(arguments: list[str]) -> int:
    """Make a key: itself on the standard output, once, and the line for the file after it."""
    if len(arguments) != 1 or not re.fullmatch(r"\w[\w.@-]*", arguments[0]):
        print("usage: matcaps keys NAME    (of whoever gets the key; one word)", file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    key = "matcaps_" + secrets.token_urlsafe(32)
    print(f"the key, which is shown only now:  {key}")
    print(f"the line for MATCAPS_API_KEYS:      {arguments[0]} sha256:{digest(key)}")
    return 0
