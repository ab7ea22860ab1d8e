"""The suites of ``matcaps evaluate``: one file each, whose function returns a report."""
