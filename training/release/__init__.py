"""Turns a trained network into an artefact: export, parity check, training record."""
