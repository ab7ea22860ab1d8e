"""The errors of the service as a tree, and the table of their HTTP statuses.

ServiceError                 a request is refused
├── MalformedError           the request cannot be understood
├── UnauthorizedError        the request has no valid API key
├── ForbiddenError           the settings do not allow it
├── NotFoundError            there is no such model, layer, output or id
├── RefusedModelError        a model file cannot be served
├── NotAcceptableError       the client accepts no type of response that is served
├── SlowClientError          the body did not arrive in time
├── TooLargeError            more bytes, images or pixels than the settings allow
├── UnsupportedTypeError     a type of image or body that is not served
├── UndecodableError         the bytes of an image are broken
├── QueueFullError           too many images wait already
├── ExpiredError             the deadline passed
├── NotReadyError            the service is starting or draining
└── InferenceError           the network failed, or an output is not finite

StartError                   the service cannot start; its message is one line that says what to do
"""


class ServiceError(Exception):
    """A request is refused. The client gets the message."""


class MalformedError(ServiceError):
    """The request cannot be understood."""


class UnauthorizedError(ServiceError):
    """The request has no valid API key."""


class ForbiddenError(ServiceError):
    """The settings do not allow it."""


class NotFoundError(ServiceError):
    """There is no such model, layer, output or id."""


class RefusedModelError(ServiceError):
    """A file of the model that is to be loaded cannot be served."""


class NotAcceptableError(ServiceError):
    """The client accepts no type of response that is served."""


class SlowClientError(ServiceError):
    """The body did not arrive in time."""


class TooLargeError(ServiceError):
    """The request has more bytes, images or pixels than the settings allow."""


class UnsupportedTypeError(ServiceError):
    """A body or an image has a type that is not served."""


class UndecodableError(ServiceError):
    """The bytes of an image are broken."""


class QueueFullError(ServiceError):
    """Too many images wait already.

    Args:
        message: For the client.
        retry_after_s: Estimated seconds until there is room.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ExpiredError(ServiceError):
    """The deadline passed before the request was decoded or taken by a batch."""


class NotReadyError(ServiceError):
    """The service is starting or draining."""


class InferenceError(ServiceError):
    """The network failed, or an output is not finite."""


STATUS: dict[type[ServiceError], int] = {
    MalformedError: 400,
    UnauthorizedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    NotAcceptableError: 406,
    SlowClientError: 408,
    TooLargeError: 413,
    UnsupportedTypeError: 415,
    UndecodableError: 422,
    RefusedModelError: 422,
    QueueFullError: 429,
    NotReadyError: 503,
    InferenceError: 503,  # not 500: another attempt may succeed
    ExpiredError: 504,
}


class StartError(Exception):
    """The service cannot start."""
