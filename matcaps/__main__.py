"""``python -m matcaps``: the same as the command ``matcaps``."""

import sys

from matcaps.cli import main

sys.exit(main())
