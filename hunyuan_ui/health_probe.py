"""`python -m hunyuan_ui.health_probe`: asks the page of this container how it is, for Docker; exit code 0 if well."""

from __future__ import annotations

import http.client
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from hunyuan_ui.errors import SettingsError
from hunyuan_ui.local_addresses import own_name
from hunyuan_ui.settings import Settings

_WITHIN_S: Final = 4.0
_DEFAULT_PORT: Final = 7860


def main(environ: Mapping[str, str] | None = None) -> int:
    """Return 0 if the page answers that it is well, else 1; `environ` replaces the process's, for tests."""
    try:
        settings = Settings.from_environ(environ, home=Path(__file__).parents[1])
    except SettingsError:
        return 1
    # Asked directly: the proxies of a container's environment lead elsewhere.
    name, port = own_name(settings.server_name), settings.server_port or _DEFAULT_PORT
    connection = http.client.HTTPConnection(name, port, timeout=_WITHIN_S)
    try:
        connection.request("GET", "/gradio_api/healthz")
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
