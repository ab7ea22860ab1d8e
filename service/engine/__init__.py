"""Answers requests without HTTP: queues, batches, model versions and their folder."""
