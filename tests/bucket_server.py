"""A bucket on a loopback port: moto's S3, a stand-in that can be unreachable, slow, or corrupt data."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeAlias
from uuid import uuid4

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from hunyuan_ui.library.bucket import PROBE

SECRET = "s3cr3t-of-the-bucket"
PREFIX = "of/all-kinds"
Answer: TypeAlias = "tuple[str, bytes] | None"


class _Silent(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


class BucketServer:
    """S3 with one bucket per test; its content survives outages."""

    def __init__(self) -> None:
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._server: BaseWSGIServer | None = None
        self.port = 0
        self.bucket = ""
        self.asked: list[tuple[str, str]] = []
        self.behave: Callable[[str, str], Answer] = lambda *_: None
        self.garble: Callable[[str, str], bool] = lambda *_: False
        self.slow_s = 0.0
        self.start()

    def begin(self) -> None:
        """Create a new bucket, without faults."""
        if self._server is None:
            self.start()
        self.behave, self.garble, self.slow_s = lambda *_: None, lambda *_: False, 0.0
        self.bucket = f"videos-{uuid4().hex[:12]}"
        self.client.create_bucket(Bucket=self.bucket)
        self.asked.clear()

    @property
    def url(self) -> str:
        """The setting for a prefix in this test's bucket."""
        return f"s3://{self.bucket}/{PREFIX}"

    @property
    def environment(self) -> dict[str, str]:
        """The store's own variables."""
        return {
            "AWS_ACCESS_KEY_ID": "AKIDOFTHETESTS",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_METADATA_ENDPOINT": "http://127.0.0.1:1",
        }

    @cached_property
    def client(self) -> Any:
        """An independent client of the bucket."""
        keys = {"aws_access_key_id": "AKIDOFTHETESTS", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
        return boto3.client("s3", endpoint_url=f"http://127.0.0.1:{self.port}", **keys)

    def files(self, below: str = "") -> dict[str, bytes]:
        """Return the content of all files below the prefix, or below a longer one, by name."""
        client, place = self.client, f"{PREFIX}/{below}"
        names = self.names(below)
        return {name: client.get_object(Bucket=self.bucket, Key=place + name)["Body"].read() for name in names}

    def names(self, below: str = "") -> set[str]:
        """Return their names, without the test files, which come and go while the bucket is looked at."""
        return {name for name in self._all_names(below) if not name.startswith(PROBE)}

    def probes(self) -> set[str]:
        """Return the names of the test files that are there at the moment."""
        return {name for name in self._all_names() if name.startswith(PROBE)}

    def _all_names(self, below: str = "") -> set[str]:
        place = f"{PREFIX}/{below}"
        found = self.client.list_objects_v2(Bucket=self.bucket, Prefix=place).get("Contents", [])
        return {entry["Key"].removeprefix(place) for entry in found}

    def put(self, name: str, content: bytes) -> None:
        """Write or overwrite a file."""
        self.client.put_object(Bucket=self.bucket, Key=f"{PREFIX}/{name}", Body=content)

    def remove(self, name: str) -> None:
        """Remove a file."""
        self.client.delete_object(Bucket=self.bucket, Key=f"{PREFIX}/{name}")

    def start(self) -> None:
        """Start, at the same address as before."""
        self._server = make_server("127.0.0.1", self.port, self._answer, threaded=True, request_handler=_Silent)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """Stop: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if self.bucket not in path or "boto" in environ.get("HTTP_USER_AGENT", "").lower():
            return self._app(environ, start_response)
        self.asked.append((method, path))
        time.sleep(self.slow_s)
        if (told := self.behave(method, path)) is not None:
            status, body = told
            start_response(status, [("Content-Length", str(len(body))), ("ETag", '"1"')])
            return [body]
        whole = list(self._app(environ, start_response))
        return [bytes(byte ^ 1 for byte in part) for part in whole] if self.garble(method, path) else whole
