"""Load the kernels' uncompiled sources: the slow reference that judges the compiled ones."""

from __future__ import annotations

import importlib
import sys
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import spec_from_loader
from pathlib import Path
from typing import TYPE_CHECKING

import pipeline.kernels

if TYPE_CHECKING:
    from types import ModuleType

_FOLDER = Path(next(iter(pipeline.kernels.__path__)))


@cache
def reference(name: str) -> ModuleType:
    """Return the kernel ``pipeline/kernels/<name>.py``, interpreted, and all kernels it imports.

    An ordinary import would take the extension module beside the source, if there is one.
    """
    sources = {path.stem: path for path in _FOLDER.glob("[a-z]*.py")}
    full = {stem: f"pipeline.kernels.{stem}" for stem in sources}
    held = {module: sys.modules.pop(module) for module in full.values() if module in sys.modules}
    finder = _Sources({full[stem]: path for stem, path in sources.items()})
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module(full[name])
    finally:
        sys.meta_path.remove(finder)
        for module in full.values():
            sys.modules.pop(module, None)
        sys.modules.update(held)
        for stem, module in full.items():
            if module in held:
                setattr(pipeline.kernels, stem, held[module])


class _Sources:
    """Finds kernels by their source, before the ordinary finder sees their extension."""

    def __init__(self, paths: dict[str, Path]) -> None:
        self._paths = paths

    def find_spec(self, name: str, path: object = None, target: object = None) -> object:
        del path, target
        if name not in self._paths:
            return None
        return spec_from_loader(name, SourceFileLoader(name, str(self._paths[name])))


def is_compiled(module: ModuleType) -> bool:
    """Tell whether a kernel module is the compiled one; without a compiler there is none."""
    return not str(module.__file__).endswith(".py")
