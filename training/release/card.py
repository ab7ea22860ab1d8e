"""The model card of a release (``README.md``): what the network is, where it comes from, and how to use it."""

from typing import Any

from matcaps.training.evaluation.nothing import PICTURES

# Data sets by name: title, where it comes from, and its terms.
DATA_SETS = {
    "smallnorb": (
        "smallNORB",
        "LeCun, Huang, Bottou, CVPR 2004",
        "provided for research purposes; it cannot be sold",
    ),
    "mnist": ("MNIST", "LeCun, Cortes, Burges, 1998", "CC BY-SA 3.0"),
    "fashion-mnist": ("Fashion-MNIST", "Xiao, Rasul, Vollgraf, 2017", "MIT"),
}


def model_card(name: str, version: int, metadata: dict[str, Any]) -> str:
    """The card of one version, from the metadata of its artefact; it has no path of this machine."""
    record, image, parity = metadata["training"], metadata["image"], metadata["parity"]
    unknown = "something else" if "nothing" in record else "something else, or of nothing,"
    classes, folder = metadata["classes"], f"model_repository/{name}/{version}"
    channels = {1: "grey", 2: "grey pairs, left and right", 3: "RGB"}[image["channels"]]
    text = f"""---
library_name: matcaps
pipeline_tag: image-classification
tags: [capsule-networks, matrix-capsules, em-routing, onnx]
---

# {name}/{version}

A network of matrix capsules with EM routing (Hinton, Sabour, Frosst, ICLR 2018), trained and exported by matcaps. It
answers an activation in [0, 1] and a 4×4 pose matrix for each class, and the capsules and assignments of all layers.

| | |
|---|---|
| classes | {", ".join(classes)} |
| images | {image["height"]}×{image["width"]} pixels, {channels} |
| format of `model.onnx` | {metadata["format"]} |

## Training

{_data(record)}
{_errors(record)}
{_calibration(record)}{_nothing(record)}
## Limits

- It knows only the {len(classes)} classes above, and pictures like those that it was trained on.
- A picture of {unknown} still has a most active class. Its activation may be close to 1.
- It was not tested for decisions about people, or for safety.

## Use

In PyTorch, in a clone of matcaps. Elsewhere, name this folder, or its repository on the Hugging Face Hub (`user/repo`):

```python
import torch
from matcaps.model import CapsNet

network = CapsNet.from_pretrained("{name}/{version}")
images = torch.zeros(1, {image["channels"]}, {image["height"]}, {image["width"]}, dtype=torch.uint8)
prediction = network(images)  # activations, poses and the capsules of all layers
```

Over HTTP:

```sh
matcaps serve --port 8000
curl -H "Content-Type: image/png" --data-binary @picture.png "http://127.0.0.1:8000/predict?model={name}&version={version}"
```

`matcaps evaluate {folder}` measures its error on the test split.

## Files

| file | what it is |
|---|---|
| `model.onnx` | the network for the service and any ONNX runtime; differs from PyTorch by at most {_most(parity)} |
| `model.safetensors`, `config.json` | its weights and its configuration, for `CapsNet.from_pretrained` |
"""
    return text


def _most(parity: dict[str, Any]) -> str:
    return f"{max(parity['activations'], parity['poses']):.1e}"


def _data(record: dict[str, Any]) -> str:
    """Data set and its terms, protocol, command and commit; what a record lacks is left out."""
    lines = []
    if (data_set := record.get("data_set")) is not None:
        if data_set in DATA_SETS:
            title, source, terms = DATA_SETS[data_set]
            lines.append(f"- **Data:** {title} ({source}). Its terms: {terms}.")
        else:
            lines.append(f"- **Data:** {data_set}. The terms of these pictures are those of their owner.")
    for title, key in (("Protocol", "protocol"), ("Seed", "seed"), ("Epochs", "epochs"), ("Commit", "commit")):
        if record.get(key) is not None:
            lines.append(f"- **{title}:** {record[key]}.")
    if record.get("command"):
        lines.append(f"- **Command:** `{record['command']}`")
    return "\n".join([*lines, ""])


def _errors(record: dict[str, Any]) -> str:
    if record.get("validation_error") is None:
        return "No error is known: nothing was held out.\n"
    error, images = record["validation_error"], record["validation_images"]
    return f"The error on {images} held-out images is {error:.2%}, by the protocol above.\n"


def _calibration(record: dict[str, Any]) -> str:
    found = record.get("calibration")
    if found is None:
        return "The activations are not calibrated: they have an order, and are no probabilities.\n"
    return f"""An activation is the probability that its class is present. On {found["images"]} held-out images:

| | |
|---|---|
| expected calibration error | {found["calibration_error"]:.4f} (by chance: {found["by_chance"]:.4f}) |
| Brier score | {found["brier"]:.4f} |
| mean activation of absent classes | {found["absent"]:.4f} |
| mean activation of the present class | {found["present"]:.4f} |
"""


def _nothing(record: dict[str, Any]) -> str:
    found = record.get("nothing")
    if found is None:
        return ""
    rows = [f"| {name} | {of['highest']:.3f} | {of['auroc']:.3f} |" for name, of in found.items()]
    share = record.get("negatives") or 0.0
    trained = f"{share:.1%} of the training pictures showed nothing" if share else "No training picture showed nothing"
    return "\n".join(
        [
            "",
            f"{trained}. The largest activation of any class, over {PICTURES} pictures of nothing of each kind,",
            "and the probability (AUROC) that a held-out image has a larger one than such a picture:",
            "",
            "| kind | largest activation | AUROC |",
            "|---|---:|---:|",
            *rows,
            "",
        ]
    )
