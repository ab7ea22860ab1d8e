"""Where a result comes from: the commit of the code that made it."""

import subprocess
from pathlib import Path


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
