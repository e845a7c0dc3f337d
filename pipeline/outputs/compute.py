"""The few functions of `pyarrow.compute` that results need, without importing it.

That import wraps all 280 functions and takes as long as reading a small log does; what lies below
it, ``call_function`` and the options, is ready with pyarrow itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyarrow._compute import (
    CastOptions,
    FilterOptions,
    JoinOptions,
    MatchSubstringOptions,
    ReplaceSubstringOptions,
    ScalarAggregateOptions,
    call_function,
)

if TYPE_CHECKING:
    import pyarrow as pa


def cast(values: Any, kind: pa.DataType) -> Any:
    """Return values as another type; an error where one does not fit."""
    return call_function("cast", [values], CastOptions.safe(kind))


def fill_null(values: Any, filler: Any) -> Any:
    """Return values with a scalar, or a Python value, in the place of nulls."""
    import pyarrow as pa

    if not isinstance(filler, pa.Scalar):
        filler = pa.scalar(filler, values.type)
    return call_function("coalesce", [values, filler])


def if_else(condition: Any, left: Any, right: Any) -> Any:
    """Return left where the condition holds, else right."""
    return call_function("if_else", [condition, left, right])


def is_valid(values: Any) -> Any:
    """Tell which values are not null."""
    return call_function("is_valid", [values])


def is_finite(values: Any) -> Any:
    """Tell which numbers are finite."""
    return call_function("is_finite", [values])


def any_true(values: Any) -> bool:
    """Tell whether a value is true."""
    options = ScalarAggregateOptions(skip_nulls=True, min_count=1)
    return bool(call_function("any", [values], options).as_py())


def largest(values: Any) -> Any:
    """Return the largest value as a Python object, None of nothing."""
    options = ScalarAggregateOptions(skip_nulls=True, min_count=1)
    return call_function("max", [values], options).as_py()


def absolute(values: Any) -> Any:
    """Return numbers without their sign."""
    return call_function("abs", [values])


def pick(values: Any, mask: Any) -> Any:
    """Return the values for which the mask is true."""
    return call_function("filter", [values, mask], FilterOptions("drop"))


def matches(texts: Any, pattern: str) -> Any:
    """Tell which texts match an RE2 pattern somewhere."""
    return call_function("match_substring_regex", [texts], MatchSubstringOptions(pattern))


def replace(texts: Any, part: str, by: str) -> Any:
    """Return texts with every occurrence of a part replaced."""
    return call_function("replace_substring", [texts], ReplaceSubstringOptions(part, by))


def replace_matches(texts: Any, pattern: str, by: str) -> Any:
    """Return texts with every match of an RE2 pattern replaced."""
    return call_function("replace_substring_regex", [texts], ReplaceSubstringOptions(pattern, by))


def replace_where(values: Any, mask: Any, by: Any) -> Any:
    """Return values with those under the mask replaced, one after the other."""
    return call_function("replace_with_mask", [values, mask, by])


def join(*texts: Any) -> Any:
    """Return texts row by row one behind the other; the last argument stands between them."""
    return call_function("binary_join_element_wise", list(texts), JoinOptions("emit_null"))
