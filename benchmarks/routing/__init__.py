"""EM routing, timed beside its textbook form."""
