"""Bytes to pixels: decoding, fitting to the model's size, and the threads that do it."""
