"""Jobs in Python, for what SQL cannot say.

A module with

* ``RELATION``: ``"lines"``, ``"mail"``, ``"messages"`` or ``"deliveries"``; rows of the latter two
  come as messages become whole, in no order;
* ``COLUMNS``: the columns it wants;
* ``map(table) -> pyarrow.Table``: a partial of some rows, possibly none;
* ``combine(table) -> pyarrow.Table``: a partial of partials, given one behind the other in the
  order of the lines; must be associative, and the same for its own output;
* ``finish(table) -> pyarrow.Table``: the result, of one partial;
* ``ADDITIVE``, if it likes: those of the result's columns that may be added up.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError, unknown_name
from pipeline.sql import Branch, Plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.job import Job


@dataclass(frozen=True, slots=True)
class PythonQuery:
    """The one query of a Python job: looks like a `pipeline.sql.Query`, merges by its module."""

    path: str
    name: str
    relation: str
    columns: frozenset[str]
    branches: tuple[Branch, ...]
    map_only: bool = False
    limit: int | None = None

    @property
    def module(self) -> Any:
        """The job's module, imported once per process."""
        return _load(self.path)


def plan_python(job: Job, relations: Mapping[str, Mapping[str, str]]) -> Plan:
    """Plan a Python job.

    Raises
    ------
    UsageError
        The module lacks a part, or names an unknown relation or column.
    """
    path = str(job.path)
    module = _load(path)
    missing = [
        name
        for name in ("RELATION", "COLUMNS", "map", "combine", "finish")
        if not hasattr(module, name)
    ]
    if missing:
        raise UsageError(f"the job file {path} lacks {', '.join(missing)}")
    if module.RELATION not in relations:
        raise unknown_name("relation", module.RELATION, relations)
    for column in module.COLUMNS:
        if column not in relations[module.RELATION]:
            raise unknown_name(f"column of {module.RELATION}", column, relations[module.RELATION])
    picked = ", ".join(f'"{column}"' for column in module.COLUMNS)
    branch = Branch(map_sql=f"SELECT {picked} FROM {module.RELATION}", combine_sql="")
    query = PythonQuery(path, "_q0", module.RELATION, frozenset(module.COLUMNS), (branch,))
    additive = frozenset(getattr(module, "ADDITIVE", ()))
    return Plan(queries=(query,), final_sql="SELECT * FROM _q0", columns=(), additive=additive)  # type: ignore[arg-type]


def adopt_module(path: str, text: str) -> None:
    """Make a job's module of the text that its file has on another machine."""
    name = _module_name(path)
    module = ModuleType(name)
    module.__file__ = path
    exec(compile(text, path, "exec"), module.__dict__)  # noqa: S102  # it is the user's own
    sys.modules[name] = module


def _module_name(path: str) -> str:
    return f"sawlog_job_{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def _load(path: str) -> Any:
    name = _module_name(path)
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]
