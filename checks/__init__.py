"""What must hold under load and faults. Each check runs for minutes and is started by scripts/check-*."""
