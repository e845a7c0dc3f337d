"""Results as text and files."""

from __future__ import annotations

import io
from pathlib import Path

import duckdb
from hypothesis import strategies as st

from pipeline.render import render

CASES = Path(__file__).parents[1] / "cases" / "render"
SUFFIXES = ["csv", "duckdb", "json", "md", "ndjson", "parquet"]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def run_sql(name):
    with duckdb.connect() as connection:
        return connection.sql((CASES / name).read_text()).to_arrow_table()


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def rendered(table, to, stream=None, **options):
    stream = stream or io.StringIO(newline="")
    render(table if isinstance(table, dict) else {"job": table}, to, stream, **options)
    return stream.getvalue()


# Often the characters that have a meaning in some format, and pieces that end in them.
texts = st.text(
    st.sampled_from("ab,\"'\r\n\0\\|=\x1b\x85\u202e\u2028é漢😀 ") | st.characters(codec="utf-8"),
    max_size=8,
)
