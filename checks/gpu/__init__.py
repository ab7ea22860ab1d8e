"""An NVIDIA GPU beside the CPU: serving, routing kernels, and training steps in CUDA graphs."""
