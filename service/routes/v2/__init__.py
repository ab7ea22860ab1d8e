"""The Open Inference Protocol, version 2 (KServe), over REST, with extensions of Triton.

The extensions are binary tensors, classification, the model configuration, the model repository, and statistics.
"""
