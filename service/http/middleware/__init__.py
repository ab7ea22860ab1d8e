"""What stands around every route: request context, API keys, discarding unread bodies."""
