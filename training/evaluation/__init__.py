"""Metrics, reports, and the evaluation suites."""
