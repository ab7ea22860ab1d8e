"""Wraps every route: request context (outermost), discarding of unread bodies, API keys, HEAD."""
