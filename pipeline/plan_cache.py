"""Plans of questions that were asked before, kept in the cache directory.

Taking a SELECT apart takes some 50 ms, a report of twenty a third of a second, and nightly jobs ask
the same every night. A plan is text, so it is kept as JSON; one that is absent, damaged or of
another version is made anew. Nothing in here raises: a cache may fail.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.cache import default_cache_dir, write_whole
from pipeline.sql import Branch, Plan, Query
from pipeline.sql_folds import Fold

if TYPE_CHECKING:
    from collections.abc import Callable

_SUFFIX = ".plan"
#: Plans that are kept; the oldest go first.
MAX_PLANS = 100
#: What a plan fixes at the moment it is made.
_NOW = re.compile(
    r"\b(?:(?:now|today|transaction_timestamp)\s*\(\s*(?:\)|/\*|--)|age\s*\(|(?:get_)?current_|localtime)",
    re.IGNORECASE,
)
#: What may stand between a name and its brackets.
_BETWEEN = re.compile(r'"|/\*.*?\*/|--[^\n]*', re.DOTALL)


def remembered(question: object, text: str, make: Callable[[], dict[str, Plan]]) -> dict[str, Plan]:
    """Return plans as they were made before for the same question, else make and keep them.

    Parameters
    ----------
    question : object
        All that the plans depend on, as JSON can say it.
    text : str
        The SQL in it.
    make : callable
        Makes the plans, by name; what it raises is raised.
    """
    # Without comments and quotes, too; the whole text first, as strings may look like comments.
    tells_time = _NOW.search(text) or _NOW.search(_BETWEEN.sub("", text))
    folder = None if tells_time else _folder()
    if folder is None:
        return make()
    key = json.dumps([_version(), question], sort_keys=True, default=str)
    path = folder / (hashlib.sha256(key.encode()).hexdigest()[:32] + _SUFFIX)
    known = _load(path, key)
    if known is not None:
        return known
    plans = make()
    with contextlib.suppress(OSError):
        _store(path, {"key": key, "plans": {name: _plain(plan) for name, plan in plans.items()}})
    return plans


def _folder() -> Path | None:
    try:
        return default_cache_dir()
    except RuntimeError:  # this user has no home
        return None


@cache
def _version() -> str:
    """Return what tells one state of this program and of DuckDB from another."""
    import duckdb

    here = Path(__file__).parent
    sources = [*here.glob("sql*.py"), here / "plan_cache.py"]
    marks = sorted((path.name, *_mark(path)) for path in sources)
    return f"{duckdb.__version__} {marks}"


def _mark(path: Path) -> tuple[int, int]:
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _load(path: Path, key: str) -> dict[str, Plan] | None:
    try:
        held = json.loads(path.read_bytes())
        if held["key"] != key:
            return None
        plans = {name: _plan(one) for name, one in held["plans"].items()}
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return None
    with contextlib.suppress(OSError):
        path.touch()  # the oldest go first
    return plans


def _store(path: Path, held: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = sorted(path.parent.glob(f"*{_SUFFIX}"), key=lambda one: _mark(one)[1])
    for old in kept[: max(0, len(kept) + 1 - MAX_PLANS)]:
        old.unlink(missing_ok=True)
    write_whole(path, json.dumps(held).encode())


def _plain(plan: Plan) -> dict[str, Any]:
    return {
        "queries": [_plain_query(query) for query in plan.queries],
        "final_sql": plan.final_sql,
        "columns": plan.columns,
        "additive": sorted(plan.additive),
    }


def _plain_query(query: Query) -> dict[str, Any]:
    fold = query.fold
    return {
        "name": query.name,
        "relation": query.relation,
        "columns": sorted(query.columns),
        "branches": [[b.map_sql, b.combine_sql, b.folded_sql] for b in query.branches],
        "finish_sql": query.finish_sql,
        "map_only": query.map_only,
        "limit": query.limit,
        "picked": {name: sorted(values) for name, values in query.picked.items()},
        "fold": fold and [sorted(fold.keys), sorted(fold.sums), sorted(fold.extremes)],
    }


def _plan(held: dict[str, Any]) -> Plan:
    return Plan(
        tuple(_query(query) for query in held["queries"]),
        held["final_sql"],
        tuple(held["columns"]),
        frozenset(held["additive"]),
    )


def _query(held: dict[str, Any]) -> Query:
    fold = held["fold"]
    return Query(
        name=held["name"],
        relation=held["relation"],
        columns=frozenset(held["columns"]),
        branches=tuple(Branch(*texts) for texts in held["branches"]),
        finish_sql=held["finish_sql"],
        map_only=held["map_only"],
        limit=held["limit"],
        picked={name: frozenset(values) for name, values in held["picked"].items()},
        fold=fold and Fold(*map(frozenset, fold)),
    )
