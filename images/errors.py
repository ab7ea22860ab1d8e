"""Why a picture is refused."""


class ImageError(ValueError):
    """A picture is refused. The message says why, without naming the file."""


class BrokenImageError(ImageError):
    """The bytes cannot be decoded."""


class UnsupportedImageError(ImageError):
    """The bytes are of a known format that is not read."""


class LargeImageError(ImageError):
    """The picture has more pixels than allowed."""


def reason(error: Exception) -> str:
    """An error's message in one short line, or its type if the message holds a memory address."""
    text = str(error).split("\n")[0][:120]
    return text if text and "0x" not in text else type(error).__name__
