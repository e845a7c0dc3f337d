"""DuckDB as the aggregation engine: one instance per process, one locked cursor per thread."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import tempfile
import threading
from typing import TYPE_CHECKING, Any

from pipeline.errors import LimitError, QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb
    import pyarrow as pa

_INTERRUPTED = re.compile(r"Invalid Input Error: counting the rows of .* failed: KeyboardInterrupt")
_lock = threading.Lock()
_local = threading.local()
_root: duckdb.DuckDBPyConnection | None = None
_cursors: list[duckdb.DuckDBPyConnection] = []
_spill: str | None = None
#: Where another program gives this process its share of a machine: bytes, and a folder.
_share: tuple[int, str | None] = 0, None


def set_share(memory_bytes: int, folder: str | None) -> None:
    """Take so much memory for that of the machine, and spill to this folder; before any query."""
    global _share  # noqa: PLW0603
    _share = memory_bytes, folder


def cursor() -> duckdb.DuckDBPyConnection:
    """Return this thread's cursor: registered names and prepared statements are private to it.

    User SQL runs on it, so files, ATTACH, COPY, LOAD and Python variables are out of reach, and
    the settings that keep it so are locked.
    """
    held: duckdb.DuckDBPyConnection | None = getattr(_local, "cursor", None)
    if held is None:
        with _lock:
            held = _instance().cursor()
            _cursors.append(held)
        _local.cursor = held
        _local.prepared = {}
    return held


def new_cursor() -> duckdb.DuckDBPyConnection:
    """Return a cursor of the caller's own, to be closed by it."""
    with _lock:
        return _instance().cursor()


def query(sql: str) -> pa.Table:
    """Run a query on this thread's cursor and return its result.

    Raises
    ------
    QueryError
        What the query does to some line is impossible: ``'abc'::INTEGER``.
    LimitError
        There is not enough memory.
    KeyboardInterrupt
        Ctrl-C was pressed: DuckDB takes the signal while it runs.
    """
    import duckdb

    try:
        return cursor().sql(sql).to_arrow_table()
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except duckdb.OutOfMemoryException as error:
        raise LimitError(
            f"there is not enough memory for the groups of this query: {error}"
        ) from None
    except (duckdb.DataError, duckdb.InvalidInputException) as error:
        # The signal may meet DuckDB while it asks a registered table for its length.
        if _INTERRUPTED.match(str(error)):
            raise KeyboardInterrupt from None
        raise QueryError(f"the query fails on some line: {error}") from None


def query_over(tables: Mapping[str, pa.Table], sql: str) -> pa.Table:
    """Run a query over some tables, by the names that it has for them; see `query`."""
    held = cursor()
    for name, table in tables.items():
        held.register(name, table)
    try:
        return query(sql)
    finally:
        for name in tables:
            held.unregister(name)


def prepared(sql: str) -> str:
    """Prepare a statement once per thread; return its name, to be run as ``EXECUTE name``.

    Running a prepared statement again costs a third of planning its text again, and that is
    what a block of log would wait for.
    """
    held = cursor()
    names: dict[str, str] = _local.prepared
    name = names.get(sql)
    if name is None:
        name = f"p{len(names)}"
        held.execute(f"PREPARE {name} AS {sql}")
        names[sql] = name
    return name


def forget_prepared() -> None:
    """Forget this thread's prepared statements, which hold on to the objects they read."""
    held = cursor()
    for name in _local.prepared.values():
        held.execute(f"DEALLOCATE {name}")
    _local.prepared = {}


def spill_folder() -> str:
    """Return this process's private temporary folder; it is removed by `close`."""
    with _lock:
        _instance()
    assert _spill is not None
    return _spill


def quote(text: str) -> str:
    """Return a text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def close() -> None:
    """Close every cursor and the instance, and remove what it spilled to disk."""
    global _root, _spill  # noqa: PLW0603  # one instance per process, by design
    with _lock:
        for held in _cursors:
            held.close()
        _cursors.clear()
        if _root is not None:
            _root.close()
            _root = None
        if _spill is not None:
            shutil.rmtree(_spill, ignore_errors=True)
            _spill = None
    _local.__dict__.clear()


def _instance() -> duckdb.DuckDBPyConnection:
    global _root, _spill  # noqa: PLW0603
    if _root is None:
        import duckdb

        _spill = tempfile.mkdtemp(prefix="sawlog-", dir=_share[1])
        settings: dict[str, Any] = {
            # Tasks are parallel already: each worker thread runs its own queries.
            "threads": 1,
            # The default is 80 % of the machine for every instance on it.
            "memory_limit": f"{max(256, _memory_bytes() // 2 >> 20)}MiB",
            "temp_directory": _spill,
            "preserve_insertion_order": True,
            "python_enable_replacements": False,
        }
        _root = duckdb.connect(":memory:", config=settings)
        _root.execute("SET TimeZone = 'UTC'")
        # In this order: a locked configuration can't be changed any more.
        _root.execute("SET enable_external_access = false")
        _root.execute("SET lock_configuration = true")
        atexit.register(close)
    return _root


def _memory_bytes() -> int:
    if _share[0]:
        return _share[0]
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 4 << 30
