"""EM routing that never stores votes: one operator, a C++ kernel behind it on a CPU and a Triton one on a GPU."""
