"""What can go wrong, as a tree, and the one table that says which status it answers with.

ServiceError
├── MalformedError           the request cannot be understood
├── UnauthorizedError        no valid key
├── ForbiddenError           not allowed by the settings
├── NotFoundError             no such model, layer or id
├── RefusedModelError        a model's file cannot be served
├── NotAcceptableError       no form of answer that the client takes
├── SlowClientError          the body did not come in time
├── TooLargeError            more bytes, images or pixels than the settings allow
├── UnsupportedTypeError     not a type of image or body that is served
├── UndecodableError         an image that is broken
├── NotReadyError            starting or draining
└── InferenceError           the network failed, or answered a number that is not finite

StartError (not an answer): the service cannot start; its message is one line that says what to do.
"""


class ServiceError(Exception):
    """A request that is refused; the message is for the client."""


class MalformedError(ServiceError):
    """The request cannot be understood."""


class UnauthorizedError(ServiceError):
    """The request shows no valid key."""


class ForbiddenError(ServiceError):
    """The settings do not allow it."""


class NotFoundError(ServiceError):
    """There is no such model, layer or id."""


class RefusedModelError(ServiceError):
    """A file of the model that is to be loaded cannot be served."""


class NotAcceptableError(ServiceError):
    """The client takes none of the forms that an answer has."""


class SlowClientError(ServiceError):
    """The request did not arrive in time."""


class TooLargeError(ServiceError):
    """There is more of something than the settings allow."""


class UnsupportedTypeError(ServiceError):
    """A body or an image of a type that is not served."""


class UndecodableError(ServiceError):
    """The bytes of an image are not a whole image."""


class QueueFullError(ServiceError):
    """Too many images wait already.

    Args:
        message: For the client.
        retry_after_s: When there will be room, as far as one can tell.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ExpiredError(ServiceError):
    """The deadline passed before the request's turn came."""


class NotReadyError(ServiceError):
    """The service is starting or draining."""


class InferenceError(ServiceError):
    """The network failed, or answered a number that is not finite."""


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
    ExpiredError: 504,
    InferenceError: 503,  # no request may answer 500, and another attempt may succeed
}


class StartError(Exception):
    """The service cannot start."""
