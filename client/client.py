"""The client whose calls block."""

import time
from types import TracebackType
from typing import Self

import httpx

from matcaps.client import answers, requests
from matcaps.client.attempts import Attempts
from matcaps.client.errors import MatcapsError
from matcaps.client.images import Images
from matcaps.client.options import ATTEMPTS, TIMEOUT_S, URL, Options, arguments
from matcaps.client.requests import Request
from matcaps.client.results import LayerPoses, Model, Prediction


class Client:
    """Asks a service; many threads may share one client, and with it one pool of connections.

        with Client("http://127.0.0.1:8000") as client:
            answer = client.predict(["a.png", "b.jpg"])
            print(answer.labels, answer.activations.max(1))

    A call is tried again if the service is full (429) or not ready (503), and if a connection breaks. It waits as long
    as ``Retry-After`` says. All attempts together end at the call's deadline, which the service is told too.

    Args:
        url: Of the service; may have a path, if a proxy serves it under one.
        api_key: Key of the service, if it needs one.
        timeout_s: Seconds until the deadline of a call that names no other.
        attempts: Most attempts of a call; 1 tries nothing again.

    Raises:
        ValueError: An argument cannot be used.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        api_key: str | None = None,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
    ) -> None:
        self._options = Options(url, api_key, timeout_s, attempts)
        self._http = httpx.Client(**self._options.for_httpx())

    def predict(
        self,
        images: Images,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
    ) -> Prediction:
        """Class activations and poses of pictures, or of pairs for a stereo model; one request, all or nothing.

        Args:
            images: A picture or many: paths, bytes of files, open files, or uint8 pixels. A pair is a tuple of two.
            model: Name of a model; by default the service's default model.
            version: Its version; by default the highest.
            timeout_s: Seconds until the deadline; by default that of the client.

        Raises:
            MatcapsError: The service refused, or did not answer in time.
            OSError: A file cannot be read.
            ValueError, TypeError: The images cannot be sent, or are pairs for a model of single pictures.
        """
        request = requests.predict(images, model, version)
        found = answers.prediction(self._send(request, self._options.begin(timeout_s)))
        answers.check_pairs(found, request.pairs)
        return found

    def poses(
        self,
        images: Images,
        layer: str = requests.CLASS_LAYER,
        *,
        model: str | None = None,
        version: int | None = None,
        timeout_s: float | None = None,
    ) -> LayerPoses:
        """Pose matrices of a layer that ``model`` lists; arguments and errors are those of ``predict``."""
        request = requests.poses(images, layer, model, version)
        found = answers.layer_poses(self._send(request, self._options.begin(timeout_s)))
        answers.check_pairs(found, request.pairs)
        return found

    def kept_poses(self, id_: str, *, timeout_s: float | None = None) -> LayerPoses:
        """The class poses of an earlier answer, while the service keeps them.

        Raises:
            MatcapsError: There are none, or they were made with another API key (404).
        """
        return answers.layer_poses(self._send(requests.kept_poses(id_), self._options.begin(timeout_s)))

    def models(self, *, timeout_s: float | None = None) -> tuple[Model, ...]:
        """All models, each in the version that answers by default."""
        return answers.models(self._send(requests.models(), self._options.begin(timeout_s)))

    def model(self, name: str | None = None, version: int | None = None, *, timeout_s: float | None = None) -> Model:
        """One model; without a name the default model.

        Raises:
            MatcapsError: There is no such model or version (404).
        """
        attempts = self._options.begin(timeout_s)
        if name is None:
            name = answers.default(answers.models(self._send(requests.models(), attempts)))
        return answers.model(self._send(requests.model(name, version), attempts))

    def ready(self, *, timeout_s: float | None = None) -> bool:
        """Whether the service takes requests now; false too if nothing answers at its URL. It tries once."""
        try:
            self._send(requests.ready(), self._options.begin(timeout_s, most=1))
        except MatcapsError as error:
            return answers.not_ready(error)
        return True

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, request: Request, attempts: Attempts) -> bytes:
        """The body of the answer, after as many attempts as it takes."""
        while True:
            try:
                response = self._http.send(self._http.build_request(**arguments(request, attempts)), stream=True)
                content = _read(response, attempts)
            except httpx.RequestError as error:
                wait_s = attempts.broken(error)
            else:
                if response.is_success:
                    return content
                detail = answers.detail_of(response.status_code, content)
                wait_s = attempts.refused(response.status_code, response.headers.get("retry-after"), detail)
            time.sleep(wait_s)


def _read(response: httpx.Response, attempts: Attempts) -> bytes:
    """The body, piece by piece, because each piece may take as long as a timeout."""
    pieces = []
    try:
        for piece in response.iter_bytes():
            attempts.check()
            pieces.append(piece)
    finally:
        response.close()
    return b"".join(pieces)
