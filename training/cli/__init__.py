"""The commands ``matcaps download``, ``train``, ``evaluate`` and ``release``: one file each."""
