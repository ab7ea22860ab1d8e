"""The service on a Ray cluster of simulated nodes."""
