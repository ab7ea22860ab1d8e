"""Trains matrix capsules on images, evaluates them on held-out images, and releases them as ONNX files."""
