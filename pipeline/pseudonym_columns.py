"""Put tokens into the columns of relations before any query reads them, and look results through.

A relation's rows are filtered first: conditions of the user see what is written. What queries see
is tokens, so that whatever a query makes of them holds no more. Results are looked through once
more, for addresses and IP addresses that the query itself names.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow._compute import call_function

from pipeline.arrow import strings
from pipeline.pseudonym_text import TextHider, hide_in_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipeline.model import Account
    from pipeline.pseudonyms import Pseudonyms

#: Column → what it holds. Any other text may hold an address or an IP address; only numbers, times,
#: and Postfix's own words (`_SAFE`) stay as they are.
_KINDS = {
    **dict.fromkeys(("sender", "recipient", "orig_to", "sasl_user", "user", "ident"), "address"),
    **dict.fromkeys(("client_ip", "relay_ip"), "ip"),
    **dict.fromkeys(("client", "helo", "relay", "failed_host"), "host"),
    "message_id": "message_id",
    **dict.fromkeys(("file", "message", "reason", "reason_group", "detail", "tally"), "text"),
    **dict.fromkeys(("path", "query", "referer", "user_agent"), "text"),
}
_SAFE = frozenset(
    (
        *("severity", "facility", "event", "status", "stage", "link", "parent_link", "queue_id"),
        *("child_id", "parent_id", "dsn", "pattern", "outcome", "bot"),
    )
)
#: Stages of a line whose ``detail`` is a line of a message.
_CONTENT = frozenset(("header", "body", "content"))
_CODED = pa.dictionary(pa.int32(), pa.string())
#: Values of a column whose tokens are remembered.
_REMEMBERED = 100_000


class Replacer:
    """Puts tokens into tables; of each value it makes one once, as long as it remembers it."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        tokens = self._tokens = pseudonyms.tokens
        self._text, self._names = TextHider(tokens), hide_in_names(tokens)
        self._makers: dict[str, Callable[[str], str]] = {
            "address": tokens.address,
            "ip": tokens.ip,
            "host": tokens.host,
            "message_id": tokens.message_id,
            "text": self._text,
            "names": self._names,
        }
        self._known: dict[str, dict[str, str]] = {kind: {} for kind in self._makers}

    def replace_rows(self, table: pa.Table) -> pa.Table:
        """Return rows of a relation with tokens; texts become dictionaries."""
        columns = [
            self._coded_column(column, _KINDS.get(name, "names"))
            if name not in _SAFE and _holds_text(column.type)
            else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        ]
        made = pa.Table.from_arrays(columns, table.column_names)
        if {"detail", "stage"} <= set(table.schema.names):
            made = self._replace_content(made, table.column("detail"))
        return made

    def _replace_content(self, table: pa.Table, details: pa.ChunkedArray) -> pa.Table:
        """Return rows without what stands in a message, where its header or body is told of."""
        stages = table.column("stage").to_pylist()
        if not _CONTENT.intersection(stages):
            return table
        place = table.schema.get_field_index("detail")
        texts = [
            self._tokens.text(real or "") if stage in _CONTENT else made
            for stage, real, made in zip(
                stages, details.to_pylist(), table.column(place).to_pylist(), strict=True
            )
        ]
        coded = self._coded(pa.array(texts, pa.string()), str)
        return table.set_column(place, "detail", pa.chunked_array([coded]))

    def look_through(self, table: pa.Table) -> pa.Table:
        """Return a result without addresses and IP addresses; tokens stay, and all types."""
        columns = []
        for field, column in zip(table.schema, table.columns, strict=True):
            kind = "text" if field.name == "file" else "names"
            columns.append(self._any_column(column, kind) if _holds_text(field.type) else column)
        names = [self._names(name) for name in table.schema.names]
        return pa.Table.from_arrays(columns, names)

    def text(self, text: str) -> str:
        """Return some text with tokens in it."""
        return self._text(text)

    def names(self, text: str) -> str:
        """Return some text without addresses and IP addresses."""
        return self._names(text)

    def account(self, account: Account) -> Account:
        """Return the account with tokens in the names of files and what is said of them."""
        return replace(
            account,
            duplicates=[self._texts(one) for one in account.duplicates],
            skipped=[self._texts(one) for one in account.skipped],
            peeled=[self._texts(one) for one in account.peeled],
            repeated=[self._texts(one) for one in account.repeated],
            restated=[self._texts(one) for one in account.restated],
            years=[self._texts(one) for one in account.years],
            damaged=[
                replace(one, file=self._text(one.file), detail=self._text(one.detail))
                for one in account.damaged
            ],
        )

    def _texts(self, said: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._text(value) if isinstance(value, str) else value
            for name, value in said.items()
        }

    def _coded_column(self, column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
        if not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        make = partial(self._once, kind)
        return pa.chunked_array([self._coded(one, make) for one in column.chunks], _CODED)

    def _coded(self, array: pa.Array, make: Callable[[str], str]) -> pa.Array:
        coded = call_function("dictionary_encode", [array])
        made = strings([make(value) for value in coded.dictionary.to_pylist()])
        return pa.DictionaryArray.from_arrays(coded.indices, made, safe=False)

    def _once(self, kind: str, value: str) -> str:
        if kind == "text":  # each is another: to remember them costs more than it saves
            return self._text(value)
        known = self._known[kind]
        token = known.get(value)
        if token is None:
            if len(known) > _REMEMBERED:
                known.clear()
            token = known[value] = self._makers[kind](value)
        return token

    def _any_column(self, column: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
        make = self._makers[kind]
        if pa.types.is_string(column.type):
            coded = [self._coded(one, make) for one in column.chunks]
            # As `dictionary_decode`, which would import all functions of pyarrow.
            taken = [call_function("array_take", [one.dictionary, one.indices]) for one in coded]
            return pa.chunked_array(taken, pa.string())
        return pa.chunked_array([[_deep(value, make) for value in column.to_pylist()]], column.type)


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _holds_text(kind.value_type)
    if pa.types.is_nested(kind):
        return any(_holds_text(kind.field(n).type) for n in range(kind.num_fields))
    of = pa.types
    return bool(of.is_string(kind) or of.is_large_string(kind) or of.is_string_view(kind))


def _deep(value: object, make: Callable[[str], str]) -> object:
    """Return a value with every text in it replaced."""
    if isinstance(value, str):
        return make(value)
    if isinstance(value, dict):
        return {name: _deep(one, make) for name, one in value.items()}
    if isinstance(value, list):
        return [_deep(one, make) for one in value]
    return tuple(_deep(one, make) for one in value) if isinstance(value, tuple) else value
