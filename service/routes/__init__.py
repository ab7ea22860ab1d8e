"""The routes: each translates a request into calls of the engine, and the result into a response."""
