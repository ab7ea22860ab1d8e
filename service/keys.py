"""API keys, stored as hashes and compared in constant time. ``matcaps keys NAME`` makes one."""

import hashlib
import hmac
import ipaddress
import logging
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from matcaps.service.errors import StartError

log = logging.getLogger("matcaps")

LINE = re.compile(r"(?P<name>\S+)\s+sha256:(?P<digest>[0-9a-f]{64})")


class Keys:
    """The keys of a file with one ``NAME sha256:HASH`` per line; empty lines and comments after # are ignored.

    A key has 256 random bits. Nobody can guess it from a fast hash, so a slow hash would protect nothing more.

    Args:
        path: The file; None means that no key is needed.

    Raises:
        StartError: The file cannot be read, holds no key, or has a malformed line.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._names: dict[str, str] = {} if path is None else _read(path)

    def __bool__(self) -> bool:
        return self._path is not None

    def refresh(self) -> None:
        """Read the file again; if that fails, keep the keys and log an error."""
        if self._path is None:
            return
        try:
            self._names = _read(self._path)
        except StartError as error:
            log.error("the API keys are unchanged: %s", error)

    @property
    def names(self) -> dict[str, str]:
        """The name of each key by its hash."""
        return self._names

    def owner(self, key: str) -> str | None:
        """The hash of a valid key, which identifies its owner; None for any other text."""
        given = digest(key)
        # Compares all of them, so that the time reveals neither which one matches nor how closely.
        found = [known for known in self._names if hmac.compare_digest(known, given)]
        return found[0] if found else None


class AnnouncedKeys(Keys):
    """Keys that another process reads and announces.

    Args:
        needed: Whether requests need a key.
        names: The name of each key by its hash.
    """

    def __init__(self, needed: bool, names: Mapping[str, str]) -> None:
        super().__init__(None)
        self._needed, self._names = needed, dict(names)

    def __bool__(self) -> bool:
        return self._needed

    def replace(self, names: Mapping[str, str]) -> None:
        """Accept these keys and no others from now on."""
        self._names = dict(names)


def digest(key: str) -> str:
    """The SHA-256 of a key in hexadecimal."""
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def check_exposure(host: str, keys: Keys, allow_anonymous: bool) -> None:
    """Check that the service does not listen without keys at an address that other machines can reach.

    Raises:
        StartError: It would, and ``allow_anonymous`` is not set.
    """
    if keys or allow_anonymous or _is_loopback(host):
        return
    raise StartError(
        f"other machines can reach {host or 'all addresses'}, so API keys are needed: set MATCAPS_API_KEYS to a file "
        f"of keys (matcaps keys NAME makes one), or MATCAPS_ALLOW_ANONYMOUS=1 to accept every request"
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
        raise StartError(f"cannot read the file of API keys {path.name}: {_reason(error)}") from None
    names = {}
    for number, line in enumerate(lines, 1):
        if not (line := line.partition("#")[0].strip()):
            continue
        if (match := LINE.fullmatch(line)) is None:
            raise StartError(f"line {number} of {path.name} must be NAME sha256:HASH")
        names[match["digest"]] = match["name"]
    if not names:
        raise StartError(f"{path.name} needs at least one API key, found none; matcaps keys NAME makes one")
    return names


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unknown error") if isinstance(error, OSError) else "not a text file"


def main(arguments: list[str]) -> int:
    """Make a key, and print it and the line for the file of keys."""
    if len(arguments) != 1 or not re.fullmatch(r"\w[\w.@-]*", arguments[0]):
        print("usage: matcaps keys NAME    (NAME is one word: who gets the key)", file=sys.stderr)
        return 0 if arguments in (["-h"], ["--help"]) else 2
    key = "matcaps_" + secrets.token_urlsafe(32)
    print(f"the key (shown only once):      {key}")
    print(f"the line for MATCAPS_API_KEYS:  {arguments[0]} sha256:{digest(key)}")
    return 0
