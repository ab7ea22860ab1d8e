"""Serves exported capsule networks over HTTP: images in, class activations and pose matrices out.

The folders stand on each other, and imports run downwards:

    workers     several processes that speak HTTP, before one that holds the engine
    routes      one file per route: a request becomes calls of the engine, and a result becomes a response
    http        what the routes share of HTTP: bodies, deadlines, responses, errors, the schema, middleware
    engine      answers requests without HTTP: admission, leases, batches, model versions and their folder
    images      bytes to pixels, in the threads of a pool
    backends    runs a network: the contract of model.onnx, onnxruntime on a CPU or a GPU, the C++ kernels for routing
    poses       keeps poses by id, in memory or in Redis
    telemetry   logs, metrics and traces
    web         the files of the explorer page and of /docs

``app`` puts them together, ``server`` listens with uvicorn, and ``__main__`` is ``matcaps serve``.
"""
