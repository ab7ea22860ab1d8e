"""Metrics, reports, and the suites of ``matcaps evaluate``."""
