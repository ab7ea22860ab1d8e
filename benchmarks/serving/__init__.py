"""Serving, measured side by side: this service, a bare handler and other engines, each in a process of its own."""
