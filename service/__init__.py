"""Serve exported capsule networks over HTTP: images in, class activations and pose matrices out.

The files, in the order of their imports: settings, errors, keys ← images, artefact, queue, capture ← onnx_session ←
bucket_session, cpu_session ← cuda ← session ← batcher ← served ← opening, repository ← reload, decoder, poses,
metrics ← watch, service ← caller, multipart ← intake, schemas, answers, openapi ← refusals ← guard, drain ← routes ←
app ← server, logs.
"""
