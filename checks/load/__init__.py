"""What must hold under load: overload, sudden ends, long runs."""
