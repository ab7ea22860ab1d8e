"""Options that several suites have, with their help: of those for a run, and of those for an artefact, too."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional, arg

Split = Annotated[
    Literal["held-out", "test"],
    arg(help="the held-out images, or the official test split, which is for final figures only"),
]

RunTarget = Annotated[Positional[Path], arg(metavar="TARGET", help="folder of the run")]
RunRoot = Annotated[Path | None, arg(help="folder that holds the data sets; by default that of the run's training")]
RunData = Annotated[Path | None, arg(help="where the run's folder of images is now, if it moved")]
RunValidation = Annotated[Path | None, arg(help="where the run's validation folder is now, if it moved")]

AnyTarget = Annotated[
    Positional[Path],
    arg(
        metavar="TARGET",
        help="folder of a run, or a released artefact: model_repository/NAME/VERSION or its model.onnx",
    ),
]
AnyRoot = Annotated[
    Path | None, arg(help="folder that holds the data sets; by default that of the run's training, or data")
]
AnyData = Annotated[
    Path | None,
    arg(
        help="of an artefact: a folder of images per class to evaluate on, all of it; of a run: where its folder is now"
    ),
]
AnyValidation = Annotated[Path | None, arg(help="of a run: where its validation folder is now, if it moved")]
