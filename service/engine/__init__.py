"""Answers requests without HTTP.

One request passes through these files in this order: engine, local (admission and lease), version_table and
model_version (which network runs it), batcher (threads), queue (what runs next), delivery (rows back to requests).
Beside it stand context (what is known about a request), repository (the folder of models), loader (how a file becomes a
model version), statistics and reload.
"""
