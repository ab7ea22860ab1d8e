"""The requests of the clients, before anything is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from matcaps.client.images import Images, contents_of

CLASS_LAYER = "class_caps"
Part = tuple[str, tuple[str, bytes, str]]


@dataclass(frozen=True)
class Request:
    """A request: a body of one picture, a form of several, or none.

    Attributes:
        pairs: Samples that the answer must have; None for any number.
    """

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    form: tuple[Part, ...] = ()
    pairs: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The type of the body. The service looks into the bytes for the format of a picture."""
        return {} if self.content is None else {"content-type": "image/*"}


def predict(images: Images, model: str | None, version: int | None) -> Request:
    """``POST /predict``; reads the files."""
    return _of_images("/predict", images, _chosen(model, version))


def poses(images: Images, layer: str, model: str | None, version: int | None) -> Request:
    """``POST /poses``; reads the files."""
    return _of_images("/poses", images, {"layer": layer, **_chosen(model, version)})


def kept_poses(id_: str) -> Request:
    """``GET /poses/{id}``."""
    return Request("GET", f"/poses/{quote(id_, safe='')}")


def models() -> Request:
    """``GET /models``."""
    return Request("GET", "/models")


def model(name: str, version: int | None) -> Request:
    """``GET /models/{name}``."""
    return Request("GET", f"/models/{quote(name, safe='')}", _chosen(None, version))


def ready() -> Request:
    """``GET /health/ready``."""
    return Request("GET", "/health/ready")


def _chosen(model: str | None, version: int | None) -> dict[str, str]:
    chosen = {} if model is None else {"model": model}
    return chosen if version is None else {**chosen, "version": str(version)}


def _of_images(path: str, images: Images, params: Mapping[str, str]) -> Request:
    contents, pairs = contents_of(images)
    if len(contents) == 1:
        return Request("POST", path, params, contents[0])
    form = tuple(
        ("images", (str(number), content, "application/octet-stream")) for number, content in enumerate(contents)
    )
    return Request("POST", path, params, form=form, pairs=pairs)
