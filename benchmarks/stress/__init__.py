"""What a service must bear: too much load, long load, sudden ends, and bytes that nobody should send."""
