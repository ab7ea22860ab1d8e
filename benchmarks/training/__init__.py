"""Whole training steps, timed by precision and recipe."""
