"""Imports KServe's client without pytest's options, because it parses the command line at its import."""

import sys

arguments, sys.argv = sys.argv, sys.argv[:1]
import kserve  # noqa: E402, F401

sys.argv = arguments
