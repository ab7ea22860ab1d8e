"""The service on a Ray cluster of simulated nodes, held against what it promises: ``scripts/check-ray``."""
