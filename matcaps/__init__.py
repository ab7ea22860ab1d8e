"""Matrix capsules with EM routing (Hinton, Sabour, Frosst, ICLR 2018): train, export to ONNX, serve over HTTP.

``matcaps.model`` is the network, ``matcaps.training`` trains and releases it, ``matcaps.service`` serves what was
released, and ``matcaps.client`` asks the service. Nothing is imported here: the service runs where torch is not
installed.
"""

__version__ = "0.1.0"
