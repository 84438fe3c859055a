"""A real nginx in front of an app, optionally with a self-signed certificate."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.app_process import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
OPENSSL = shutil.which("openssl")
START_WITHIN_S = 20.0

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
needs_openssl = pytest.mark.skipif(OPENSSL is None, reason="openssl is not installed")

_CONFIG = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  proxy_buffering off;
  {before}
  server {{ listen 127.0.0.1:{port}{tls}; {locations} }}
}}
"""


@contextmanager
def nginx(folder: Path, locations: str, *, before: str = "", has_tls: bool = False) -> Iterator[str]:
    """Run nginx with these locations, and give its address without a slash at the end.

    Args:
        folder: Created, for its files.
        locations: And whatever else its one server is to know.
        before: What stands before its server.
        has_tls: It uses a self-signed certificate.
    """
    port = free_port()
    folder.mkdir()
    tls = f" ssl; ssl_certificate {folder}/own.pem; ssl_certificate_key {folder}/own.key" if has_tls else ""
    if has_tls:
        _make_certificate(folder)
    config = folder / "nginx.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, locations=locations, before=before, tls=tls), "utf-8")
    command = [str(NGINX), "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url, give_up_at = f"http{'s' if has_tls else ''}://127.0.0.1:{port}", time.monotonic() + START_WITHIN_S
    try:
        while True:
            assert process.poll() is None, (folder / "error.log").read_text("utf-8")
            assert time.monotonic() < give_up_at
            try:
                httpx.get(url, verify=trusting(folder) if has_tls else True)
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def trusting(folder: Path) -> ssl.SSLContext:
    """Return a TLS context that trusts only the certificate of the nginx in this folder."""
    return ssl.create_default_context(cafile=str(folder / "own.pem"))


def _make_certificate(folder: Path) -> None:
    subprocess.run(
        [
            *(str(OPENSSL), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(folder / "own.key")),
            *("-out", str(folder / "own.pem")),
        ],
        check=True,
        capture_output=True,
    )
