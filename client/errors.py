"""The one exception of the clients."""


class MatcapsError(Exception):
    """The service refused a request, or gave no answer that can be used.

    Files that cannot be read raise OSError, and arguments that cannot be sent ValueError or TypeError.

    Attributes:
        status: The HTTP status; None if no answer came.
        detail: The reason, as the service gives it.
    """

    def __init__(self, detail: str, status: int | None = None) -> None:
        super().__init__(detail if status is None else f"{status}: {detail}")
        self.status, self.detail = status, detail
