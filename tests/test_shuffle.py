"""Piles keep the order of their rows over the disk; partitions hold what belongs together."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import duck, shuffle
from pipeline.shuffle import Pile, partition_piles

_SCHEMA = pa.schema({"key": pa.string(), "n": pa.int64()})
# Few keys, NULL among them; each table of a pile has some rows, or none.
_keys = st.lists(st.lists(st.sampled_from(["a", "b", "c", "d", None]), max_size=5), max_size=8)


def _tables(keys, start=0) -> list[pa.Table]:
    """Tables whose rows are numbered through."""
    tables = []
    for some in keys:
        numbers = range(start, start + len(some))
        tables.append(pa.table({"key": some, "n": numbers}, _SCHEMA))
        start += len(some)
    return tables


def _pile(tables) -> Pile:
    pile = Pile()
    for table in tables:
        pile.add(table)
    return pile


def _rows(tables) -> list[tuple[str, int]]:
    return [(row["key"], row["n"]) for table in tables for row in table.to_pylist()]


def _files() -> set[Path]:
    return set(Path(duck.spill_folder()).glob("*.arrow"))


@pytest.fixture(params=[0, 100, 1 << 20], ids=["all on disk", "some on disk", "in memory"])
def pile_bytes(request, monkeypatch):
    """How much of a pile stays in memory."""
    monkeypatch.setattr(shuffle, "PILE_BYTES", request.param)
    return request.param


@given(parts=st.lists(_keys, max_size=4), limit=st.sampled_from([0, 100, 1 << 20]))
def test_a_pile_keeps_the_order_of_its_rows(parts, limit):
    """Tables and whole piles are put on top; what was moved to disk stays where it was."""
    tables = _tables([some for part in parts for some in part])
    with patch.object(shuffle, "PILE_BYTES", limit):
        pile, at = Pile(), 0
        for part in parts:
            later = _pile(tables[at : at + len(part)])
            at += len(part)
            pile.extend(later)
            pile.add(_SCHEMA.empty_table())

        assert _rows(tables) == _rows(pile.tables()) == _rows([pile.whole(_SCHEMA)])
        assert _rows(tables) == _rows(pile.tables())  # a second time, too
        assert len(_rows(tables)) == pile.n_rows
        assert _SCHEMA == pile.whole(_SCHEMA).schema


def test_a_pile_is_one_file_and_takes_it_with_it(monkeypatch):
    """However often it grew; piles put on top of each other share nothing else."""
    monkeypatch.setattr(shuffle, "PILE_BYTES", 100)
    before = _files()
    pile = _pile(_tables([["a", "b"]] * 50))

    assert 1 == len(_files() - before)
    pile.extend(_pile(_tables([["a", "b"]] * 50, 100)))
    assert 2 == len(_files() - before)
    assert list(range(200)) == [n for _, n in _rows(pile.tables())]
    del pile
    assert before == _files()


def test_large_texts_and_dictionaries_survive_the_disk(pile_bytes):
    """What comes back equals what was put there, types included."""
    table = pa.table(
        {
            "text": pa.array(["x" * 10_000, None, "\u00e4"], pa.string()),
            "day": pa.array([0, None, 7], pa.date32()),
            "names": pa.array(["a", "b", "a"]).dictionary_encode(),
            "list": pa.array([[1], [], None], pa.list_(pa.int64())),
        }
    )

    assert table == _pile([table]).whole(table.schema)
    assert pa.concat_tables([table, table]) == _pile([table, table]).whole(table.schema)


@given(
    keys=_keys,
    others=_keys,
    limit=st.sampled_from([0, 100, 1 << 20]),
    partition_rows=st.integers(1, 12),
    most=st.sampled_from([2, 256]),
)
def test_partitions_share_out_every_row_once_in_order(keys, others, limit, partition_rows, most):
    """Equal keys lie in one partition, whichever pile they come from; nothing is lost."""
    tables, more = _tables(keys), _tables(others)
    with (
        patch.object(shuffle, "PILE_BYTES", limit),
        patch.object(shuffle, "PARTITION_ROWS", partition_rows),
        patch.object(shuffle, "MAX_PARTITIONS", most),
    ):
        piles = {"one": _pile(tables), "two": _pile(more)}
        by_key = {"one": "coalesce(key, '')", "two": "coalesce(key, '')"}
        parts = [*partition_piles(piles, by_key, dict.fromkeys(piles, _SCHEMA))]

    assert all(table.schema == _SCHEMA for part in parts for table in part.values())
    for name, expected in (("one", _rows(tables)), ("two", _rows(more))):
        dealt = [_rows([part[name]]) for part in parts]
        assert Counter(expected) == Counter(row for rows in dealt for row in rows)
        assert all(rows == sorted(rows, key=lambda row: row[1]) for rows in dealt)
    homes = [{key for table in part.values() for key, _ in _rows([table])} for part in parts]
    assert Counter(key for home in homes for key in home).total() == len(set().union(*homes))
    n_rows = max(len(_rows(tables)), len(_rows(more)))
    assert len(parts) == max(1, min(most, -(-n_rows // partition_rows)))


def test_dealing_keeps_no_more_in_memory_than_a_pile(monkeypatch):
    """Many partitions are no reason for many piles in memory: all go to disk, batch by batch."""
    n_bytes = 20_000
    monkeypatch.setattr(shuffle, "PILE_BYTES", n_bytes)
    monkeypatch.setattr(shuffle, "PARTITION_ROWS", 100)
    most, stored = [0], Pile.store

    def store(pile):
        most[0] = max(most[0], pile._n_bytes)
        stored(pile)

    monkeypatch.setattr(Pile, "store", store)
    keys = [[f"k{k}" for k in range(100)]] * 200
    before = _files()
    parts = partition_piles({"one": _pile(_tables(keys))}, {"one": "key"}, {"one": _SCHEMA})
    first = next(parts)

    assert 0 < first["one"].num_rows
    assert most[0] < 2 * n_bytes
    assert len(_files() - before) <= 201  # one for each of the 200 partitions, one for the pile
    assert 20_000 == first["one"].num_rows + sum(part["one"].num_rows for part in parts)
    del parts
    assert before == _files()


def test_a_copy_of_a_pile_leaves_the_original_as_it_is(pile_bytes):
    """What is put on the copy, or on the original, is not seen by the other, on disk or not."""
    pile = _pile(_tables([["a", "b"]] * 50))
    before = _rows(pile.tables())

    copied = pile.copy()
    copied.extend(_pile(_tables([["c", "d"]] * 50, 100)))
    copied.store()
    longer = _rows(copied.tables())
    pile.extend(_pile(_tables([["e", "f"]] * 50, 200)))
    pile.store()

    assert before == longer[: len(before)]
    assert len(before) < len(longer)
    assert longer == _rows(copied.tables())
    assert before == _rows(pile.tables())[: len(before)]


def test_a_pile_travels_as_a_whole():
    """Pickled and back it has the same rows, and less bytes than what its tables are slices of."""
    import pickle

    pile = _pile(_tables([["a", "b"]] * 50))
    assert _rows(pile.tables()) == _rows(pickle.loads(pickle.dumps(pile)).tables())
    long = pa.table({"key": ["x" * 100] * 10_000})
    sliced = Pile()
    sliced.add(long.slice(5, 3))
    assert 10_000 > len(pickle.dumps(sliced))
