"""A client of the service: ``Client`` and ``AsyncClient``, with typed results whose arrays are numpy.

It needs httpx and numpy (``pip install 'matcaps[client]'``), and nothing else of the package.

client, asynchronous   the two clients: what they share stands in the other modules, which do no input or output
requests               requests of images, layers, models
images                 paths, bytes, files and arrays to the bytes that are sent
attempts               deadline, retries, and how long to wait
answers                answers to results
results                what the clients return
errors                 the one exception
"""

from matcaps.client.asynchronous import AsyncClient
from matcaps.client.client import Client
from matcaps.client.errors import MatcapsError
from matcaps.client.images import Image, Images, Pair
from matcaps.client.results import Layer, LayerPoses, Model, Prediction

__all__ = [
    "AsyncClient",
    "Client",
    "Image",
    "Images",
    "Layer",
    "LayerPoses",
    "MatcapsError",
    "Model",
    "Pair",
    "Prediction",
]
