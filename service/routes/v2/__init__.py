"""The Open Inference Protocol, version 2 (KServe), over REST, with Triton's extensions.

Binary tensors, classification, the model repository, and statistics.
"""
