"""Runs a network: the artefact's contract, sessions of onnxruntime on a CPU or a GPU."""
