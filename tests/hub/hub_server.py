"""A small server with the parts of the hub's API that uploads and downloads of models use, over loopback.

It keeps repositories in memory and shares no code with :mod:`huggingface_hub`, whose client talks to it.
"""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from huggingface_hub import constants, file_download

TOKEN = "hf_test"


class Hub(ThreadingHTTPServer):
    """The server, with the commits of each repository, the last one last: its number and its files."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.commits: dict[str, list[tuple[str, dict[str, bytes]]]] = {}
        self.private: dict[str, bool] = {}
        self.requests: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, name: str, changes: dict[str, bytes]) -> str:
        """Adds a commit with changed files."""
        files = (self.commits[name][-1][1] if self.commits.get(name) else {}) | changes
        number = hashlib.sha1(f"{name} {len(self.commits.get(name, []))}".encode()).hexdigest()
        self.commits.setdefault(name, []).append((number, files))
        return number

    def files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Returns the number and the files of a commit; ``main`` is the last."""
        found = self.commits.get(name) or []
        return found[-1] if found and revision == "main" else next((one for one in found if one[0] == revision), None)


class Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes | dict | list = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data))} | headers
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_POST(self) -> None:
        body, parts = self.read_body(), self.parts()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        if parts == ["api", "repos", "create"]:
            wanted = json.loads(body)
            name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
            private = wanted.get("private") or wanted.get("visibility") == "private"  # by the version of the client
            self.server.private.setdefault(name, private)
            self.server.commits.setdefault(name, [])
            return self.answer(200, {"url": f"{self.server.address}/{name}", "name": name, "id": name})
        if parts == ["api", "validate-yaml"]:
            return self.answer(200, {"errors": [], "warnings": []})
        name, action = "/".join(parts[2:4]), parts[4]
        if action == "preupload":
            files = [{"path": one["path"], "uploadMode": "regular"} for one in json.loads(body)["files"]]
            return self.answer(200, {"files": [one | {"shouldIgnore": False} for one in files]})
        lines = [json.loads(line) for line in body.splitlines() if line]
        files = {
            one["value"]["path"]: base64.b64decode(one["value"]["content"]) for one in lines if one["key"] == "file"
        }
        number = self.server.commit(name, files)
        return self.answer(200, {
            "success": True, "commitOid": number, "commitUrl": f"{self.server.address}/{name}/commit/{number}",
            "hookOutput": "",
        })  # fmt: skip

    def do_GET(self) -> None:
        parts = self.parts()
        if parts[:2] == ["api", "models"]:
            name, rest = "/".join(parts[2:4]), parts[4:]
            found = self.server.files(name, rest[1] if len(rest) > 1 else "main")
            if found is None:
                return self.missing(name)
            return self.answer(200, self.tree(found[1]) if rest[:1] == ["tree"] else self.info(name, *found))
        if parts[2:3] != ["resolve"]:
            return self.missing("/".join(parts))
        name, revision, path = "/".join(parts[:2]), parts[3], "/".join(parts[4:])
        found = self.server.files(name, revision)
        if found is None:
            return self.missing(name)
        if path not in found[1]:
            return self.answer(404, {"error": "not found"}, X_Error_Code="EntryNotFound", X_Repo_Commit=found[0])
        data = found[1][path]
        return self.answer(
            200, data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=found[0],
            Content_Type="application/octet-stream",
        )  # fmt: skip

    do_HEAD = do_GET

    def missing(self, name: str) -> None:
        code = "RevisionNotFound" if self.server.commits.get(name) else "RepoNotFound"
        self.answer(404, {"error": "not found"}, X_Error_Code=code)

    def tree(self, files: dict[str, bytes]) -> list:
        return [
            {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
            for path, data in files.items()
        ]

    def info(self, name: str, number: str, files: dict[str, bytes]) -> dict:
        siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
        return {"id": name, "modelId": name, "sha": number, "private": False, "tags": [], "siblings": siblings}

    def parts(self) -> list[str]:
        self.server.requests.append(f"{self.command} {self.path}")
        return [unquote(part) for part in urlsplit(self.path).path.split("/") if part]


@contextmanager
def serving() -> Iterator[Hub]:
    """Runs a server while the block runs."""
    with Hub() as hub:
        thread = threading.Thread(target=hub.serve_forever, daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()


def connect(monkeypatch: pytest.MonkeyPatch, hub: Hub, cache: Path) -> None:
    """Lets huggingface_hub talk to a server, and keep downloads in a folder. It reads its variables when imported."""
    template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)  # before 1.0
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def disconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets huggingface_hub use its cache only."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
