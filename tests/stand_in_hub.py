"""A stand-in for the Hugging Face Hub on 127.0.0.1: the part of its API that huggingface_hub uses for models.

Repositories with commits, private ones, tokens that may write, read or nothing, large files by the LFS
protocol, and the checks that the real one makes of what it is sent.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

WRITER = "hf_writer"
"""The token that may write; "hf_reader" may read, and others are none."""


@dataclass
class Repo:
    """Its commits, the newest last: the content of each file by name."""

    private: bool = False
    commits: list[dict[str, bytes]] = field(
        default_factory=lambda: [{".gitattributes": b"*.safetensors lfs\n"}]
    )
    messages: list[str] = field(default_factory=lambda: ["initial commit"])

    def oid(self, at: int = -1) -> str:
        at %= len(self.commits)
        return hashlib.sha1(repr((id(self), at)).encode()).hexdigest()

    def at(self, revision: str) -> int | None:
        if revision == "main":
            return len(self.commits) - 1
        return next((i for i in range(len(self.commits)) if self.oid(i) == revision), None)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]


class StandIn(ThreadingHTTPServer):
    """What it holds, and every request that it has answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, Repo] = {}
        self.large: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.before_commit = lambda repo: None
        self.fails: set[str] = set()
        self.denies: tuple[int, str | None] | None = None  # the answer to whoever asks for a repository


@contextmanager
def stand_in():
    """A server that runs while the block does."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: StandIn

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    do_HEAD = do_PUT = do_POST = do_GET

    # -- what is asked --------------------------------------------------------------------------------------

    def _answer(self, body):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        if any(part in path for part in self.server.fails):
            return self._say(500, {"error": "the disk is on fire"})
        parts = path.strip("/").split("/")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if path.startswith("/large/"):
            return self._large(parts[1], body)
        if token not in ("", WRITER, "hf_reader"):
            return self._say(401, {"error": "Invalid credentials in Authorization header"})
        if path == "/api/validate-yaml":
            return self._validate(json.loads(body)["content"])
        if path == "/api/repos/create":
            return self._create(json.loads(body), token)
        if path.startswith("/api/models/"):
            name, rest = "/".join(parts[2:4]), parts[4:]
        else:
            name, rest = f"{parts[0]}/{parts[1]}".removesuffix(".git"), parts[2:]
        if self.server.denies is not None:
            status, code = self.server.denies
            return self._say(status, {"error": "denied"}, {"X-Error-Code": code} if code else {})
        repo = self.server.repos.get(name)
        if repo is None or (repo.private and not token):
            said = {"error": "Repository not found"} if token else {"error": "Invalid username or password."}
            return self._say(404 if token else 401, said, {"X-Error-Code": "RepoNotFound"})
        if self.command == "POST" and token != WRITER:
            return self._say(403, {"error": "you don't have the rights"})
        return self._of_repo(name, repo, rest, body)

    def _of_repo(self, name, repo, rest, body):
        what = rest[0] if rest else "revision"
        if what == "preupload":
            return self._say(200, {"files": [self._mode(repo, f) for f in json.loads(body)["files"]]})
        if rest == ["info", "lfs", "objects", "batch"]:
            return self._batch(json.loads(body))
        at = repo.at(rest[1] if len(rest) > 1 else "main")
        if at is None:
            return self._say(404, {"error": "Invalid rev id"}, {"X-Error-Code": "RevisionNotFound"})
        if what == "commit":
            return self._commit(name, repo, [json.loads(line) for line in body.splitlines()])
        if what == "tree":
            return self._say(200, [self._entry(file, data) for file, data in repo.commits[at].items()])
        if what == "resolve":
            return self._resolve(repo, at, "/".join(rest[2:]))
        siblings = [{"rfilename": file} for file in repo.commits[at]]
        about = {"_id": "0", "id": name, "modelId": name, "private": repo.private, "tags": [], "downloads": 0}
        return self._say(200, about | {"sha": repo.oid(at), "siblings": siblings})

    # -- reading --------------------------------------------------------------------------------------------

    def _resolve(self, repo, at, file):
        data = repo.commits[at].get(file)
        if data is None:
            return self._say(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
        headers = {"X-Repo-Commit": repo.oid(at), "ETag": f'"{_git(data)}"'}
        if file.endswith(".safetensors"):
            oid = hashlib.sha256(data).hexdigest()
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(data))}
            elsewhere = f"http://localhost:{self.server.server_port}/large/{oid}"  # another host, as a CDN is
            return self._send(302, b"", headers | {"Location": elsewhere})
        return self._send(200, data, headers)

    def _large(self, oid, body):
        if self.command == "PUT":
            if hashlib.sha256(body).hexdigest() != oid:
                return self._say(400, {"error": "these are other bytes"})
            self.server.large[oid] = body
            return self._send(200, b"", {"ETag": f'"{oid}"'})
        return self._send(200, self.server.large[oid], {"ETag": f'"{oid}"'})

    # -- writing --------------------------------------------------------------------------------------------

    def _validate(self, text):
        try:
            about = yaml.safe_load(text.split("---\n")[1])
        except (yaml.YAMLError, IndexError) as error:
            return self._say(400, {"errors": [{"message": str(error)}], "warnings": []})
        good = isinstance(about, dict) and all(isinstance(tag, str) for tag in about["tags"])
        return self._say(
            200 if good else 400, {"errors": [] if good else [{"message": "no"}], "warnings": []}
        )

    def _create(self, asked, token):
        if token != WRITER:
            return self._say(403 if token else 401, {"error": "you don't have the rights"})
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.server.repos:
            return self._say(409, {"error": "You already created this model repo"})
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.server.repos[name] = Repo(private)
        return self._say(200, {"url": f"{self.server.address}/{name}", "name": name})

    def _mode(self, repo, file):
        known = repo.files.get(file["path"])
        mode = "lfs" if file["path"].endswith(".safetensors") else "regular"
        said = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        return said if known is None else said | {"oid": _git(known)}

    def _batch(self, asked):
        return self._say(
            200,
            {
                "transfer": "basic",
                "objects": [
                    {
                        **{"oid": o["oid"], "size": o["size"]},
                        "actions": {"upload": {"href": f"{self.server.address}/large/{o['oid']}"}},
                    }
                    for o in asked["objects"]
                ],
            },
        )

    def _commit(self, name, repo, lines):
        self.server.before_commit(repo)
        header, *operations = lines
        parent = header["value"].get("parentCommit")
        if parent is not None and parent != repo.oid():
            return self._say(412, {"error": "A commit has happened since. Please refresh and try again."})
        files = dict(repo.files)
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                assert not value["path"].endswith(".safetensors")
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            else:
                assert operation["key"] == "deletedFile"
                del files[value["path"]]
        repo.commits.append(files)
        repo.messages.append(header["value"]["summary"])
        url = f"{self.server.address}/{name}/commit/{repo.oid()}"
        return self._say(200, {"success": True, "commitOid": repo.oid(), "commitUrl": url, "hookOutput": ""})

    # -- how it is said -------------------------------------------------------------------------------------

    def _entry(self, file, data):
        entry = {"type": "file", "path": file, "size": len(data), "oid": _git(data)}
        if file.endswith(".safetensors"):
            oid = hashlib.sha256(data).hexdigest()
            entry["lfs"] = {"oid": oid, "size": len(data), "pointerSize": 130}
        return entry

    def _say(self, status, what, headers=None):
        more = {"X-Error-Message": what["error"]} if isinstance(what, dict) and "error" in what else {}
        self._send(status, json.dumps(what).encode(), more | (headers or {}), "application/json")

    def _send(self, status, data, headers, kind="application/octet-stream"):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _git(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
