"""Malformed requests: schemathesis and mutated images."""
