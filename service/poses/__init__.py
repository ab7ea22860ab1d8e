"""Keeps the poses of earlier predictions by id: in memory, or in a Redis that all replicas share."""
