"""Runs a network: the artefact's contract, and onnxruntime sessions on a CPU or a GPU."""
