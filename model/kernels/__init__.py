"""EM routing without stored votes: one torch operator, by C++ kernels on a CPU and Triton kernels on a GPU."""
