"""What must hold under load and faults; ``python -m checks`` lists it."""
