"""What is kept under an id: in memory, or in Redis for all replicas."""
