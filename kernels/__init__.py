"""EM routing on a CPU in C++, without stored votes and without torch: for the network in training and for the service.

windows   which children each parent sees, as index tables
layer     one routed layer: arrays in, arrays out
library   compiles, stores and loads the C++ of this folder
*.h       the C++: forward and backward pass, votes, vectors

``model/kernels/README.md`` explains how it works.
"""
