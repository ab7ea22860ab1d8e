"""Overload, a long load, and kills under load."""
