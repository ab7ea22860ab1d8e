"""What must hold for any bytes: schemathesis and mutated pictures."""
