"""Serve exported capsule networks over HTTP: images in, class activations and pose matrices out.

The files, in the order of their imports: settings, errors ← images, artefact, queue, capture ← onnx_session ←
bucket_session ← cuda ← session ← repository, batcher ← inference, poses, multipart ← intake, caller, schemas, answers,
openapi, drain ← app.
"""
