"""Real clients against one running service."""
