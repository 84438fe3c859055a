"""Spares the import of Gradio the comparison of its classes with their type stubs, a third of its time."""

from __future__ import annotations

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, cast

_COMPARES: Final = "gradio.component_meta"
_COMPARE: Final = "create_or_modify_pyi"


def without_stubs() -> None:
    """Let Gradio, once it is imported, neither read nor write the `.pyi` file of any of its classes.

    Only editors read those files. Source: docs/facts/gradio6.md 6.
    """
    if _COMPARES not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        if fullname != _COMPARES:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader = cast("Any", spec.loader)
            execute = loader.exec_module

            def execute_without(module: ModuleType) -> None:
                execute(module)
                if hasattr(module, _COMPARE):
                    setattr(module, _COMPARE, _compare_nothing)

            loader.exec_module = execute_without
        return spec


def _compare_nothing(*_: object) -> None:
    pass
