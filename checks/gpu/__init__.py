"""What must hold on an NVIDIA GPU: serving, routing kernels, recorded training steps."""
