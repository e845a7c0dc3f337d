"""Every aggregate function of DuckDB is in one of three lists: split, rewritten, refused.

Split: the state is exported by map, merged by combine, finished at the end. Rewritten: the state
can't be exported or merges to something wrong; then the partial holds other rows from which the
plain function gets the same result. Refused: neither is exact, or the result is random.

Where DuckDB's own macros (``geomean``, …) hide an aggregate, they are replaced by their
definitions first: a macro drops EXPORT_STATE without a word.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.sql.tree import Node, is_expression, words

if TYPE_CHECKING:
    from collections.abc import Iterable

#: State exported. Exact, but for DOUBLE rounding and for the sketches named ``approx_…``.
#: median, quantiles, mad, list, string_agg, and any with ORDER BY, hold all values they saw.
SPLIT = words(
    """
    any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null
    arg_max_nulls_last arg_min arg_min_null arg_min_nulls_last argmax argmin array_agg avg
    bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop
    covar_samp decimal_average favg first fsum group_concat kahan_sum kurtosis kurtosis_pop list
    listagg mad max max_by mean median min min_by product quantile quantile_cont quantile_disc
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop
    var_samp variance
    """
)

#: Rewritten: ``last`` exports a state, but merging keeps the first partial's (duckdb 2.0.0);
#: the others export none, so the partial holds each value once with its count.
LAST = frozenset({"last"})
COUNTED = frozenset({"bitstring_agg", "entropy", "histogram", "histogram_exact", "mode"})
REWRITTEN = LAST | COUNTED

#: Refused, with the way out.
REFUSED = {
    "combine_aggr": "it merges states, which this program does itself",
    "lttb": "it needs all points in order: take it over a CTE that selects the points",
    "reservoir_quantile": "it draws a random sample: use approx_quantile or quantile_cont",
    "variant_group_object": "use map(list(key ORDER BY key), list(value ORDER BY key))",
}

#: DuckDB's macros over aggregates.
MACROS = words(
    """
    geomean geometric_mean json_group_array json_group_object json_group_structure
    variant_group_array wavg weighted_avg
    """
)

#: Aggregates whose result depends on the order of rows. The others lose an ORDER BY inside them,
#: which would only make their state hold every row.
ORDERED = words(
    """
    any_value approx_top_k arbitrary arg_max arg_max_null arg_max_nulls_last arg_min
    arg_min_null arg_min_nulls_last argmax argmin array_agg first group_concat last list listagg
    lttb max_by min_by mode string_agg
    """
)

#: Those that follow the order of rows in the file. Grouping sets refuse them: there the rows of
#: several groups meet again, and partials don't tell in which order they came. (``arg_min`` and
#: its like stay: of rows with equal measures they may then take another than the file's first.)
IN_FILE_ORDER = words(
    "any_value arbitrary array_agg first group_concat last list listagg string_agg"
)

#: With ORDER BY these are the row where the order's sort key is least or greatest, which is also
#: how DuckDB's optimizer runs them, ties included.
FIRST_IN_ORDER = {
    "any_value": "arg_min",
    "arbitrary": "arg_min_null",
    "first": "arg_min_null",
    "last": "arg_max_null",
}
#: By DuckDB's own definition the row with the least or greatest sort key. ``arg_min_nulls_last``
#: merges wrongly as a state where a measure is NULL (2.0.0).
NULLS_LAST = {
    "arg_max_nulls_last": ("arg_max_null", "ASC NULLS FIRST"),
    "arg_min_nulls_last": ("arg_min_null", "ASC NULLS LAST"),
}
#: Of two groups made one these give the sum.
_ADDITIVE = words("count count_if count_star countif fsum kahan_sum sum sum_no_overflow sumkahan")
#: With two arguments these name the n best, which has no state.
_BEST = frozenset({"max", "min"})
BEST_BY = frozenset(name for name in ORDERED if name.startswith("arg") or name.endswith("_by"))
#: quantile_cont(0.5 ORDER BY x) is quantile_cont(x, 0.5).
QUANTILES = frozenset({"quantile_cont", "quantile_disc"})

NAMES = SPLIT | REWRITTEN | REFUSED.keys()


def is_aggregate(node: Node) -> bool:
    """Tell whether a node is a call of an aggregate function (a window is not)."""
    return is_expression(node, "FUNCTION") and node["function_name"].lower() in NAMES


def contains_aggregate(tree: object) -> bool:
    """Tell whether an expression has an aggregate of its own SELECT in it."""
    if isinstance(tree, dict):
        if is_aggregate(tree):
            return True
        if is_expression(tree, "SUBQUERY"):
            return contains_aggregate(tree["child"])
        return any(contains_aggregate(value) for value in tree.values())
    return isinstance(tree, list) and any(contains_aggregate(value) for value in tree)


def kind_of(call: Node) -> str:
    """How an aggregate is taken apart.

    Returns
    -------
    str
        ``split``, ``last``, ``distinct`` (each value once) or ``counted`` (each value once, with
        its count); else ``refused: `` and the way out.
    """
    name = call["function_name"].lower()
    n_arguments = len(call["arguments"])
    has_order = bool(call["order_bys"]["orders"])
    if name in REFUSED:
        return f"refused: {REFUSED[name]}"
    if name in BEST_BY and n_arguments > 2:
        return "refused: use list(value ORDER BY measure DESC)[1:n]"
    if name == "mode" and has_order:
        return "refused: leave out the ORDER BY; of values equally frequent it takes the first"
    if call["distinct"]:
        if name in ORDERED and not has_order:
            way = f"{name}(DISTINCT x ORDER BY x)"
            return f"refused: the order of distinct values is arbitrary; use {way}"
        return "distinct"
    if name in COUNTED or (name in _BEST and n_arguments > 1):
        return "counted"
    if name in LAST:
        return "last"
    return "split"


def unlisted(names: Iterable[str]) -> set[str]:
    """Those of DuckDB's aggregates that stand in none of the three lists."""
    return set(names) - NAMES


def additive_columns(select: Node) -> frozenset[str]:
    """Return the columns of a SELECT that are plain counts or sums, under casts or not.

    Of two groups made one their value is the sum; an average's or a distinct count's is not.
    """
    if select.get("type") != "SELECT_NODE":
        return frozenset()
    found = set()
    for item in select["select_list"]:
        node = item
        while is_expression(node, "CAST"):
            node = node["child"]
        if (
            is_expression(node, "FUNCTION")
            and node["function_name"].lower() in _ADDITIVE
            and not node.get("distinct")
        ):
            found.add(item["alias"] or node["alias"] or node["function_name"])
    return frozenset(found)
