"""A hub of data sets, for tests: the part of Hugging Face's protocol that reading one needs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from tests.integration.http_server import QuietHandler, serve

#: The one revision that there is, beside its name `main`.
REVISION = "a" * 40
_ETAG = "c" * 40


@contextmanager
def serve_hub(name: str, files: Mapping[str, bytes]) -> Iterator[str]:
    """Serves one data set, all of whose files lie at its top; yields what HF_ENDPOINT is set to."""

    class Handler(_Handler):
        dataset = name
        held = files

    with serve(Handler) as address:
        yield address


class _Handler(QuietHandler):
    """Answers what `datasets` asks. The body is sent with GET and left out with HEAD."""

    dataset: str
    held: Mapping[str, bytes]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith(f"/api/datasets/{self.dataset}/tree/{REVISION}"):
            self._json(200, [self._entry(file) for file in self.held])
        elif re.fullmatch(f"/api/datasets/{self.dataset}(/revision/(main|{REVISION}))?", path):
            self._json(200, self._description())
        elif found := re.fullmatch(
            f"/datasets/{self.dataset}/resolve/(main|{REVISION})/(.+)", path
        ):
            self._file(found[2])
        else:
            self._json(404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _description(self) -> dict[str, Any]:
        siblings = [{"rfilename": file} for file in self.held]
        return {
            "_id": "1",
            "id": self.dataset,
            "sha": REVISION,
            "private": False,
            "disabled": False,
            "gated": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": siblings,
        }

    def _entry(self, file: str) -> dict[str, Any]:
        return {"type": "file", "path": file, "size": len(self.held[file]), "oid": _ETAG}

    def _file(self, file: str) -> None:
        commit = {"X-Repo-Commit": REVISION}
        if file not in self.held:
            self._json(404, {"error": "not found"}, commit | {"X-Error-Code": "EntryNotFound"})
            return
        data, headers = self.held[file], commit | {"ETag": f'"{_ETAG}"', "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if asked is None:
            self._send(200, data, headers)
            return
        start, end = int(asked[1]), min(int(asked[2]), len(data) - 1)
        headers |= {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
        self._send(206, data[start : end + 1], headers)

    def _json(self, status: int, value: Any, headers: Mapping[str, str] | None = None) -> None:
        self._send(status, json.dumps(value).encode(), headers or {})

    def _send(self, status: int, data: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)
