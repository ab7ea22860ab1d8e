"""Encoded images to samples of a model, in threads."""
