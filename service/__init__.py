"""Serve exported capsule networks over HTTP: images in, class activations and pose matrices out.

The files, in the order of their imports: settings, errors ← images, artefact ← session ← repository ← inference,
poses, multipart ← intake, schemas, answers, openapi, drain ← app.
"""
