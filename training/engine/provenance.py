"""Where a result comes from: the commit of the code, and a fingerprint of the images."""

import hashlib
import subprocess
from pathlib import Path

from matcaps.training.data import KNOWN, ImageSet


def commit() -> str:
    """The commit of this checkout, with ``-dirty`` if files differ from it; ``unknown`` outside a checkout."""
    folder = Path(__file__).parent
    try:
        run = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return run.stdout.strip()


def require_images(expected: str, found: str, name: str, when: str) -> None:
    """Check the fingerprint of a run's images.

    Raises:
        ValueError: They are other images; the message has both digests.
    """
    if found != expected:
        option = "--root" if name in KNOWN else "--data"
        raise ValueError(
            f"{name} holds other images than when {when}: expected digest {expected[:16]}, found {found[:16]}; "
            f"if the pictures moved, name the new place with {option}"
        )


def fingerprint(training: ImageSet, held_out: ImageSet) -> str:
    """A digest of the images and labels of a split, in their order; two splits differ if their digests do."""
    digest = hashlib.sha256()
    for images in (training, held_out):
        for values in (images.images, images.labels):
            digest.update(f"{list(values.shape)}".encode())
            digest.update(values.contiguous().numpy().data)
    return digest.hexdigest()
