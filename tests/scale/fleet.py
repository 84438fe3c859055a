"""Two real pages on one database and one bucket, behind a real nginx that balances round robin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.app_process import RunningApp, running_app
from tests.browser.paid_endpoint import PaidEndpoint
from tests.bucket_server import BucketServer
from tests.nginx import nginx
from tests.postgres_server import PostgresServer

ROUND_ROBIN = "upstream pages {{ {servers} }} log_format whom '$upstream_addr $request';"
INSIDE = """
access_log {log} whom;
client_max_body_size 3m;
location / {{
  proxy_pass http://pages;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header X-Forwarded-For $remote_addr;
}}
"""


@dataclass
class Fleet:
    """The running parts: the address, with a trailing slash, the pages behind it, and who answered which request."""

    url: str
    apps: list[RunningApp]
    log: Path

    @property
    def answered(self) -> list[tuple[str, str]]:
        """The address of the page that answered each request so far, and the request's first line."""
        lines = self.log.read_text("utf-8").splitlines()
        return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


@contextmanager
def fleet(folder: Path, postgres: PostgresServer, bucket: BucketServer, service: PaidEndpoint) -> Iterator[Fleet]:
    """Run two public pages with separate data folders, and an nginx without session affinity.

    Args:
        folder: For all of their files.
        postgres: Of the test process.
        bucket: Of the test process; begins anew.
        service: The service that they pay.
    """
    bucket.begin()
    shared = {
        "HUNYUAN_UI_DATABASE_URL": postgres.url(folder),
        "HUNYUAN_UI_VIDEOS_URL": bucket.url,
        "HUNYUAN_UI_DAILY_LIMIT_USD": "1000",
        "HUNYUAN_UI_VISITOR_DAILY_VIDEOS": "100",
        **bucket.environment,
        **service.settings,
    }
    with ExitStack() as stack:
        folders = [folder / name for name in ("one", "two")]
        for own in folders:
            own.mkdir()
        script = "tests/public_app.py"
        apps = [stack.enter_context(running_app(own, script=script, **shared)) for own in folders]
        servers = " ".join(f"server 127.0.0.1:{app.port};" for app in apps)
        log = folder / "answered.log"
        inside = INSIDE.format(log=log)
        url = stack.enter_context(nginx(folder / "nginx", inside, before=ROUND_ROBIN.format(servers=servers)))
        yield Fleet(f"{url}/", apps, log)


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory,
    postgres_server: PostgresServer,
    bucket_server: BucketServer,
    service: PaidEndpoint,
) -> Iterator[Fleet]:
    """The pages of a test file, which provides the paid service by a fixture `service`."""
    with fleet(tmp_path_factory.mktemp("fleet"), postgres_server, bucket_server, service) as running:
        yield running
