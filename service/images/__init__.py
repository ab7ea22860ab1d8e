"""Bytes to pixels: decode an image, resize it, and do so in threads."""
