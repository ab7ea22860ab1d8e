"""The service on a Ray cluster: one deployment answers HTTP, and another one runs the networks on many nodes.

Both use the service's own code. The files, in the order of their imports: options, messages ← remote, network,
request_id ← app. Only ``app`` imports Ray; the others are plain Python, and are tested without it.
"""
