"""What must hold with two services behind nginx and one Redis."""
