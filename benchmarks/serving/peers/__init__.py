"""The same work in other servers: Pillow decodes one PNG, the same network runs, label and activations come out.

Each file is a program that runs in a virtual environment without this project, so it imports nothing of it.
"""
