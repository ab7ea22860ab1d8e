"""What must hold of the container image."""
