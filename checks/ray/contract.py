"""The same questions to the plain service and to the cluster: the answers must be the same."""

import base64
import json
import sys

from tqdm import tqdm

from benchmarks.serving.process import ROOT, free_port, serving
from benchmarks.serving.tensors import request_of
from checks.ray.asking import Answered, Asked, ask, differences
from checks.ray.cluster import Nodes
from deploy.ray.options import Options
from matcaps.service.engine.loader import load_as_set

MODELS, EXAMPLES = ROOT / "model_repository", ROOT / "examples"
PNG = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
NPZ = {"accept": "application/x-npz"}
LAYERS = ("primary_caps", "conv_caps_1", "conv_caps_2", "class_caps")


def check_contract(nodes: Nodes) -> tuple[int, list[str]]:
    """How many questions were asked, and in what the answers to them differed."""
    settings = {"models": MODELS, "host": "127.0.0.1", "device": "cpu", "threads": 1, "log_level": "error"}
    options = Options.model_validate({**settings, "min_replicas": 2, "max_replicas": 2})
    nodes.deploy(options, load_as_set(options.for_network()))
    port = free_port()
    plain = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    command = [sys.executable, "-m", "matcaps", "serve", f"--port={port}", *plain]
    asked = questions()
    with serving(command, port, ("/health/ready", b"", {}), {}):
        found = [_differences(port, nodes.port, question) for question in tqdm(asked, "contract", unit="question")]
    return len(asked), [text for text in found if text]


def questions() -> list[Asked]:
    """Each route, each form of question and answer, and each kind of error."""
    pictures = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.png"))}
    asked = [Asked(f"GET {path}", path) for path in _read()]
    for name, content in pictures.items():
        model = "mnist" if name == "digit" else "smallnorb"
        encoded = base64.b64encode(content).decode()
        both = json.dumps({"images": [encoded, encoded]}).encode()
        files = {"name": "files", "datatype": "BYTES", "shape": [1, 1], "data": [encoded]}
        asked += [
            Asked(f"predict {name}", f"/predict?model={model}", content, PNG),
            Asked(f"predict {name} as npz", f"/predict?model={model}", content, {**PNG, **NPZ}),
            Asked(f"predict {name} in JSON, twice", f"/predict?model={model}", both, JSON),
            Asked(f"infer {name}", f"/v2/models/{model}/infer", json.dumps({"inputs": [files]}).encode(), JSON),
            *(Asked(f"{layer} of {name}", f"/poses?model={model}&layer={layer}", content, PNG) for layer in LAYERS),
        ]
    picture = pictures["airplane"]
    tensors, headers = request_of(3)
    many = json.dumps({"images": [base64.b64encode(picture).decode()] * 20}).encode()
    form = b'--x\r\ncontent-disposition: form-data; name="images"; filename="a"\r\n\r\n' + picture + b"\r\n--x--\r\n"
    return [
        *asked,
        Asked("infer binary tensors", "/v2/models/smallnorb/infer", tensors, headers),
        Asked("a form", "/predict", form, {"content-type": "multipart/form-data; boundary=x"}),
        Asked("more images than a batch", "/predict", many, JSON),
        Asked("400 no JSON", "/predict", b"{", JSON, status=400),
        Asked("400 no tensors", "/v2/models/smallnorb/infer", b"{}", JSON, status=400),
        Asked("404 route", "/nowhere", status=404),
        Asked("404 model", "/predict?model=nobody", picture, PNG, status=404),
        Asked("404 version", "/predict?version=99", picture, PNG, status=404),
        Asked("404 layer", "/poses?layer=nothing", picture, PNG, status=404),
        Asked("404 id", "/poses/0", status=404),
        Asked("404 model under v2", "/v2/models/nobody", status=404),
        Asked("405", "/predict", method="GET", status=405),
        Asked("406", "/predict", picture, {**PNG, "accept": "text/html"}, status=406),
        Asked("413", "/predict", json.dumps({"images": [""] * 65}).encode(), JSON, status=413),
        Asked("415", "/predict", picture, {"content-type": "text/plain"}, status=415),
        Asked("422", "/predict", picture[:300], PNG, status=422),
        Asked("504", "/predict", picture, {**PNG, "x-request-timeout-ms": "0.001"}, status=504),
        Asked("403", "/v2/repository/models/mnist/unload", method="POST", status=403),
    ]


def _read() -> list[str]:
    """What can be read of the service, of the versions that ship."""
    newest = {name: max(int(path.name) for path in (MODELS / name).iterdir()) for name in ("smallnorb", "mnist")}
    return [
        *("/models", "/models/mnist", f"/models/smallnorb?version={newest['smallnorb']}", "/health/live"),
        *("/health/ready", "/openapi.json", "/docs", "/v2", "/v2/health/live", "/v2/health/ready"),
        *("/v2/models/smallnorb", f"/v2/models/mnist/versions/{newest['mnist']}/ready"),
    ]


def _differences(plain: int, cluster: int, asked: Asked) -> str:
    answers = [ask(port, asked) for port in (plain, cluster)]
    difference = differences(*answers)
    if not difference and answers[0].status != asked.status:
        difference = f"both answer {answers[0].status}, {asked.status} is right"
    if not difference and (ids := [_id(answer) for answer in answers]) and all(ids):
        # What was kept under the ids must be the same as well.
        kept = [ask(port, Asked("kept", f"/poses/{id_}")) for port, id_ in zip((plain, cluster), ids, strict=True)]
        difference = differences(*kept) or ("" if kept[0].status == 200 else f"kept poses: status {kept[0].status}")
    if not difference and "," in answers[1].headers.get("x-request-id", ","):
        difference = f"x-request-id {answers[1].headers.get('x-request-id')!r}"
    return f"{asked.name}: {difference}" if difference else ""


def _id(answer: Answered) -> str:
    """The id of the prediction that an answer is, or nothing."""
    if answer.status != 200:
        return ""
    if "x-prediction-id" in answer.headers:
        return answer.headers["x-prediction-id"]
    kind = answer.headers.get("content-type", "")
    content = answer.json if kind == "application/json" else {}
    return str(content.get("id", "")) if "predictions" in content else ""
