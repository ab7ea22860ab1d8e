"""The same work in other servers: one PNG in, decoded by Pillow, the same network, label and activations out.

Each is a program that takes the network's file and a port, and runs in an environment that holds its own engine and
nothing of this project; so none imports another file.
"""
