"""Spares the tests' processes work that Gradio and httpx repeat, and that no test looks at."""

from __future__ import annotations

import importlib.abc
import importlib.util
import os
import ssl
import sys
from collections.abc import Callable
from functools import cache
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Final

from httpx._transports import default

_WRITES_STUBS: Final = "gradio.component_meta"
_TRUST: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def be_thrifty() -> None:
    """Spare this process what follows; called before it imports Gradio."""
    _write_no_stubs()
    _share_ssl_contexts()


def _write_no_stubs() -> None:
    """Let Gradio compare none of its 82 classes with their stubs (.pyi): that is 0.8 s of the 2.1 s of its import."""
    assert _WRITES_STUBS not in sys.modules
    sys.meta_path.insert(0, _WithoutStubs())


class _WithoutStubs(importlib.abc.MetaPathFinder):
    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != _WRITES_STUBS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def load_without(module: ModuleType) -> None:
            load(module)
            assert callable(module.create_or_modify_pyi)
            vars(module)["create_or_modify_pyi"] = lambda *_: None

        spec.loader.exec_module = load_without
        return spec


def _share_ssl_contexts() -> None:
    """Read the authorities' certificates once: each client of httpx takes 17 ms for that, also for plain HTTP."""
    build: Callable[..., ssl.SSLContext] = default.create_ssl_context  # pyright: ignore[reportPrivateImportUsage]
    usual = cache(build)

    def shared(**options: Any) -> ssl.SSLContext:
        is_usual = options["verify"] is True and not any(os.environ.get(name) for name in _TRUST)
        return (usual if is_usual else build)(**options)

    default.create_ssl_context = shared  # pyright: ignore[reportPrivateImportUsage]
