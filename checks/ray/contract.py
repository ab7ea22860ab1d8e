"""The same requests to the plain service and to the cluster: the answers must be the same."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from tqdm import tqdm

from benchmarks.harness.client import Answer, Request, ask
from benchmarks.harness.process import ROOT
from benchmarks.harness.servers import matcaps
from benchmarks.serving.tensor_requests import tensor_request
from checks.ray.cluster import Nodes
from checks.ray.comparison import differences
from deploy.ray.options import Options
from matcaps.service.engine.loader import opener_of

MODELS, EXAMPLES = ROOT / "model_repository", ROOT / "examples"
PNG = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
NPZ = {"accept": "application/x-npz"}
LAYERS = ("primary_caps", "conv_caps_1", "conv_caps_2", "class_caps")
ANSWER_S = 60.0


@dataclass(frozen=True)
class Case:
    """A request, and the status of the right answer."""

    name: str
    path: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    status: int = 200

    @property
    def request(self) -> Request:
        return Request(self.path, self.body, self.headers, self.method)


def check_contract(nodes: Nodes) -> tuple[int, list[str]]:
    """The number of requests, and a line for each difference between the answers."""
    settings = {"models": MODELS, "host": "127.0.0.1", "device": "cpu", "threads": 1, "log_level": "error"}
    options = Options.model_validate({**settings, "min_replicas": 2, "max_replicas": 2})
    nodes.deploy(options, opener_of(options.for_network()))
    plain = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items() if name != "models"]
    requests = cases()
    with matcaps(*plain).launch(MODELS) as process:
        process.wait_until_ready()
        ports = process.port, nodes.port
        found = [_difference(*ports, case) for case in tqdm(requests, "contract", unit="request")]
    return len(requests), [text for text in found if text]


def cases() -> list[Case]:
    """Each route, each form of request and answer, and each kind of error."""
    pictures = {path.stem: path.read_bytes() for path in sorted(EXAMPLES.glob("*.png"))}
    asked = [Case(f"GET {path}", path) for path in _read()]
    for name, content in pictures.items():
        model = "mnist" if name == "digit" else "smallnorb"
        encoded = base64.b64encode(content).decode()
        both = json.dumps({"images": [encoded, encoded]}).encode()
        files = {"name": "files", "datatype": "BYTES", "shape": [1, 1], "data": [encoded]}
        asked += [
            Case(f"predict {name}", f"/predict?model={model}", content, PNG),
            Case(f"predict {name} as npz", f"/predict?model={model}", content, {**PNG, **NPZ}),
            Case(f"predict {name} in JSON, twice", f"/predict?model={model}", both, JSON),
            Case(f"infer {name}", f"/v2/models/{model}/infer", json.dumps({"inputs": [files]}).encode(), JSON),
            *(Case(f"{layer} of {name}", f"/poses?model={model}&layer={layer}", content, PNG) for layer in LAYERS),
        ]
    picture = pictures["airplane"]
    tensors = tensor_request(3)
    many = json.dumps({"images": [base64.b64encode(picture).decode()] * 20}).encode()
    form = b'--x\r\ncontent-disposition: form-data; name="images"; filename="a"\r\n\r\n' + picture + b"\r\n--x--\r\n"
    return [
        *asked,
        Case("infer binary tensors", tensors.path, tensors.body, tensors.headers),
        Case("a form", "/predict", form, {"content-type": "multipart/form-data; boundary=x"}),
        Case("more images than a batch", "/predict", many, JSON),
        Case("400 no JSON", "/predict", b"{", JSON, status=400),
        Case("400 no tensors", "/v2/models/smallnorb/infer", b"{}", JSON, status=400),
        Case("404 route", "/nowhere", status=404),
        Case("404 model", "/predict?model=nobody", picture, PNG, status=404),
        Case("404 version", "/predict?version=99", picture, PNG, status=404),
        Case("404 layer", "/poses?layer=nothing", picture, PNG, status=404),
        Case("404 id", "/poses/0", status=404),
        Case("404 model under v2", "/v2/models/nobody", status=404),
        Case("405", "/predict", method="GET", status=405),
        Case("406", "/predict", picture, {**PNG, "accept": "text/html"}, status=406),
        Case("413", "/predict", json.dumps({"images": [""] * 65}).encode(), JSON, status=413),
        Case("415", "/predict", picture, {"content-type": "text/plain"}, status=415),
        Case("422", "/predict", picture[:300], PNG, status=422),
        Case("504", "/predict", picture, {**PNG, "x-request-timeout-ms": "0.001"}, status=504),
        Case("403", "/v2/repository/models/mnist/unload", method="POST", status=403),
    ]


def _read() -> list[str]:
    """Paths that are read, with the newest versions of the shipped models."""
    newest = {name: max(int(path.name) for path in (MODELS / name).iterdir()) for name in ("smallnorb", "mnist")}
    return [
        *("/models", "/models/mnist", f"/models/smallnorb?version={newest['smallnorb']}", "/health/live"),
        *("/health/ready", "/openapi.json", "/docs", "/v2", "/v2/health/live", "/v2/health/ready"),
        *("/v2/models/smallnorb", f"/v2/models/mnist/versions/{newest['mnist']}/ready"),
    ]


def _difference(plain: int, cluster: int, case: Case) -> str:
    answers = [ask(port, case.request, ANSWER_S) for port in (plain, cluster)]
    difference = differences(*answers)
    if not difference and answers[0].status != case.status:
        difference = f"expected status {case.status}, got {answers[0].status} from both"
    if not difference and (ids := [_id(answer) for answer in answers]) and all(ids):
        kept = [ask(port, Request(f"/poses/{id_}"), ANSWER_S) for port, id_ in zip((plain, cluster), ids, strict=True)]
        difference = differences(*kept) or ("" if kept[0].status == 200 else f"kept poses: status {kept[0].status}")
    if not difference and "," in answers[1].headers.get("x-request-id", ","):
        difference = f"expected one x-request-id, got {answers[1].headers.get('x-request-id')!r}"
    return f"{case.name}: {difference}" if difference else ""


def _id(answer: Answer) -> str:
    """The id of a prediction; empty if the answer is none."""
    if answer.status != 200:
        return ""
    if "x-prediction-id" in answer.headers:
        return answer.headers["x-prediction-id"]
    kind = answer.headers.get("content-type", "")
    content = answer.json if kind == "application/json" else {}
    return str(content.get("id", "")) if "predictions" in content else ""
