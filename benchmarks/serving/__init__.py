"""Serving, measured beside a bare handler, other servers and the network alone."""
