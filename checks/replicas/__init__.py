"""Two services behind nginx, with one Redis."""
