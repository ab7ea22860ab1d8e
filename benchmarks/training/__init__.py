"""Whole training steps, by recipe and precision."""
