"""Readers of the file formats of the data sets."""
