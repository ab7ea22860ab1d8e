"""Train matrix capsules on images, judge them on held-out ones, and release them as ONNX files."""
