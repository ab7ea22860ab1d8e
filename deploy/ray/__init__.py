"""The service on a Ray cluster: one deployment speaks HTTP, another one runs the networks on as many nodes as it takes.

Nothing of the service is copied here. The files, in the order of their imports: options, messages ← remote, network,
request_id ← app. Only app knows Ray; the others are plain Python, and tested without it.
"""
