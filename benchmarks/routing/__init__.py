"""EM routing, measured beside its textbook form."""
