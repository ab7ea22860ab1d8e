"""The schemas of requests and answers, for the documentation and for generated clients."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Row = Annotated[list[float], Field(min_length=4, max_length=4)]
Pose = Annotated[list[Row], Field(min_length=4, max_length=4)]
Base64 = Annotated[str, Field(json_schema_extra={"format": "byte"})]


IN_BASE64 = "Image files in base64, or as base64 data URLs; a stereo model takes two per sample, left and right"


class ImagesRequest(BaseModel):
    """Images in JSON."""

    model_config = ConfigDict(extra="forbid", strict=True)

    images: Annotated[list[Base64], Field(min_length=1, description=IN_BASE64)]


class ModelName(BaseModel):
    """The model that answered."""

    name: str
    version: int


class Prediction(BaseModel):
    """The prediction for one sample."""

    label: str = Field(description="The class with the highest activation")
    activations: dict[str, float] = Field(
        description="Activation of each class, in [0, 1]; of a calibrated model the probability that it is present"
    )
    poses: dict[str, Pose] = Field(description="4×4 pose matrix of each class")


class PredictAnswer(BaseModel):
    """Predictions in the order of the images."""

    id: str = Field(description="GET /poses/{id} returns the poses again while they are kept")
    model: ModelName
    predictions: list[Prediction]


class LayerPoses(BaseModel):
    """The poses of one sample: by class, or [row][column][type] for a convolutional layer."""

    poses: dict[str, Pose] | list[list[list[Pose]]]


class PosesAnswer(BaseModel):
    """Pose matrices of one layer, in the order of the images."""

    id: str
    model: ModelName
    layer: str
    grid: tuple[int, int]
    predictions: list[LayerPoses]


class ModelAnswer(BaseModel):
    """One version of a model."""

    name: str
    version: int
    versions: list[int]
    default: bool
    provider: str = Field(description="The execution provider that onnxruntime uses")
    backend: dict[str, str] = Field(
        description="What runs the network: onnxruntime, or the routing-kernel; and the reason if not the kernel"
    )
    format: int = Field(description="Format of the file; the outputs of the model follow from it")
    classes: list[str]
    image: dict[str, int] = Field(description="Channels (1 grey, 2 left and right, 3 RGB), height and width")
    pixels: dict[str, Any] | None = Field(
        description="Size of the output `pixels`, and the part of the image it covers"
    )
    layers: list[dict[str, Any]]
    routing_iterations: int
    training: dict[str, Any]
    parity: dict[str, Any]


class RefusedFile(BaseModel):
    """A model file that cannot be served."""

    name: str
    version: int | str = Field(description="The version, or the name of its folder if that is no version")
    reason: str


class ModelsAnswer(BaseModel):
    """The default version of every model, and the model files that cannot be served."""

    models: list[ModelAnswer]
    refused: list[RefusedFile]


class Health(BaseModel):
    """The state of the service."""

    status: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
