"""Wraps every route: a proxy's path (outermost), request context, discarding of unread bodies, API keys, HEAD."""
