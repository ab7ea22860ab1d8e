"""A stand-in of the Hugging Face Hub on the loopback: the routes that huggingface_hub asks for models.

The routes, their fields and their headers are taken from the source of huggingface_hub 2.4. The Hub itself was never
asked. The stand-in stores large files as Git LFS does; of Xet, the Hub's other store, it knows nothing.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from huggingface_hub import close_session

Files = dict[str, bytes]
LARGE = (".safetensors", ".onnx")  # what a new repository of the Hub keeps in LFS


@dataclass
class Repository:
    """A repository of models."""

    private: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, files: Files, message: str = "initial commit") -> str:
        """Add a commit; returns its digest."""
        digest = hashlib.sha1(f"{branch} {len(self.commits)}".encode()).hexdigest()
        self.commits[digest], self.branches[branch] = files, digest
        self.messages.append(message)
        return digest

    def find(self, revision: str) -> str | None:
        """The commit of a branch or digest."""
        found = self.branches.get(revision, revision)
        return found if found in self.commits else None


@dataclass
class Hub:
    """The stand-in; its threads change the repositories and append to the requests."""

    url: str = ""
    store: str = ""
    """The address of large files, under another name of the host."""
    user: str = "ada"
    token: str = "hf_ada"
    repositories: dict[str, Repository] = field(default_factory=dict)
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by their SHA-256."""
    requests: list[str] = field(default_factory=list)
    failing: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Status and message, which is the code too, by the beginning of ``METHOD path``."""


class RefusedError(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    hub: Hub

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = unquote(self.path.partition("?")[0])
        self.hub.requests.append(f"{self.command} {path}")
        try:
            for beginning, (status, message) in self.hub.failing.items():
                if f"{self.command} {path}".startswith(beginning):
                    raise RefusedError(status, message, message)
            self._route(path, body)
        except RefusedError as refusal:
            headers = {"X-Error-Message": str(refusal), **({"X-Error-Code": refusal.code} if refusal.code else {})}
            self._send(json.dumps({"error": str(refusal)}).encode(), headers, refusal.status)

    def do_GET(self) -> None:
        self._handle()

    def do_HEAD(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def _route(self, path: str, body: bytes) -> None:
        if found := re.fullmatch(r"/lfs/(\w{64})", path):
            if self.headers.get("Authorization"):  # the store is another host, which must not learn the token
                raise RefusedError(400, "the store takes no token")
            if self.command == "PUT":
                self.hub.stored[hashlib.sha256(body).hexdigest()] = body
            self._send(self.hub.stored[found[1]])
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/(\w+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            self._repository(found[1], write=True)
            self._batch(json.loads(body))
        elif found := re.fullmatch(r"/(\w+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            self._file(found[1], found[2], found[3])
        elif found := re.fullmatch(r"/api/models/(\w+/[\w.-]+)(?:/(\w+)/(.+))?", path):
            self._model(found[1], found[2], found[3] or "main", body)
        else:
            raise RefusedError(404, f"the stand-in has no route {path}")

    def _model(self, name: str, action: str | None, revision: str, body: bytes) -> None:
        repository = self._repository(name, write=action in ("branch", "preupload", "commit"))
        if action == "branch":
            if revision in repository.branches:
                raise RefusedError(409, f"Reference {revision} already exists")
            repository.branches[revision] = repository.branches["main"]
            self._answer({})
            return
        commit = repository.find(revision)
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        files = repository.commits[commit]
        if action in (None, "revision"):
            self._answer({"id": name, "sha": commit, "private": repository.private})
        elif action == "tree":
            self._answer([_entry(path, content) for path, content in files.items()])
        elif action == "preupload":
            asked = json.loads(body)["files"]
            modes = [{"path": of["path"], "shouldIgnore": False, "uploadMode": _mode(of["path"])} for of in asked]
            self._answer({"files": [{**mode, "oid": _digest_of(files, mode["path"])} for mode in modes]})
        else:
            self._commit(name, repository, revision, dict(files), body)

    def _commit(self, name: str, repository: Repository, branch: str, files: Files, body: bytes) -> None:
        header, *operations = [json.loads(line) for line in body.splitlines()]
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            else:
                del files[value["path"]]
        digest = repository.commit(branch, files, header["value"]["summary"])
        self._answer({"commitUrl": f"{self.hub.url}/{name}/commit/{digest}", "commitOid": digest})

    def _create(self, asked: dict[str, Any]) -> None:
        self._require_token()
        if asked["organization"] != self.hub.user:
            raise RefusedError(
                403, f"You don't have the rights to create a model under the namespace {asked['organization']!r}"
            )
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.hub.repositories:
            body = json.dumps({"error": "You already created this model repo", "url": f"{self.hub.url}/{name}"})
            self._send(body.encode(), status=409)
            return
        repository = self.hub.repositories[name] = Repository(
            # Releases before 2 say `private`.
            private=asked.get("visibility") == "private" or bool(asked.get("private"))
        )
        repository.commit("main", {".gitattributes": b""})
        self._answer({"url": f"{self.hub.url}/{name}"})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = []
        for of in asked["objects"]:
            actions = {"upload": {"href": f"{self.hub.store}/lfs/{of['oid']}"}}
            objects.append({**of, "actions": actions} if of["oid"] not in self.hub.stored else of)
        self._answer({"transfer": "basic", "objects": objects})

    def _file(self, name: str, revision: str, path: str) -> None:
        repository = self._repository(name)
        commit = repository.find(revision)
        if commit is None:
            raise RefusedError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        if path not in repository.commits[commit]:
            raise RefusedError(404, "Entry not found", "EntryNotFound")
        content = repository.commits[commit][path]
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_digest(path, content)}"'}
        if _mode(path) == "lfs":
            large = {"X-Linked-Size": str(len(content)), "X-Linked-ETag": headers["ETag"]}
            self.hub.stored[_digest(path, content)] = content  # a test may have committed it without an upload
            headers |= {**large, "Location": f"{self.hub.store}/lfs/{_digest(path, content)}"}
            self._send(b"", headers, 302)
        else:
            self._send(content, headers)

    def _repository(self, name: str, *, write: bool = False) -> Repository:
        """A repository that the sender may see; what it may not see is not there, as at the Hub."""
        authorised = self._require_token() if self.headers.get("Authorization") else False
        repository = self.hub.repositories.get(name)
        if repository is None or ((repository.private or write) and not authorised):
            raise RefusedError(404 if authorised else 401, "Repository not found", "RepoNotFound")
        return repository

    def _require_token(self) -> bool:
        if self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            raise RefusedError(401, "Invalid credentials in Authorization header")
        return True

    def _answer(self, content: object) -> None:
        self._send(json.dumps(content).encode())

    def _send(self, content: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not printed."""


def _mode(path: str) -> str:
    return "lfs" if path.endswith(LARGE) else "regular"


def _digest(path: str, content: bytes) -> str:
    """SHA-256 of a large file, git's SHA-1 of another."""
    if _mode(path) == "lfs":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _digest_of(files: Files, path: str) -> str | None:
    return _digest(path, files[path]) if path in files else None


def _entry(path: str, content: bytes) -> dict[str, Any]:
    entry = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
    if _mode(path) == "lfs":
        entry["lfs"] = {"oid": _digest(path, content), "size": len(content), "pointerSize": 130}
    return entry


@contextmanager
def connected_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """The stand-in, which huggingface_hub asks in this process, with its token, and a cache in this folder.

    The library reads the variables HF_ENDPOINT, HF_HOME and HF_HUB_DISABLE_XET when it is imported, so their constants
    are set here.
    """
    with serve_hub() as hub:
        for name, value in {
            "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(folder / "cache"),
            "HF_TOKEN_PATH": str(folder / "token"),
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
        }.items():
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", hub.token)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        close_session()  # one of another test may use a proxy
        yield hub
        close_session()


@contextmanager
def serve_hub() -> Iterator[Hub]:
    """The stand-in, in a thread."""
    hub = Hub()
    handler = type("HubHandler", (Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        hub.url, hub.store = (f"http://{host}:{server.server_address[1]}" for host in ("127.0.0.1", "localhost"))
        yield hub
        server.shutdown()
        thread.join()
