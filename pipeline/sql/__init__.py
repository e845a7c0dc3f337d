"""Questions in SQL, taken apart into map, combine and finish by DuckDB's own syntax tree.

tree → check → names → reads → rows, or groups (calls, aggregates, states, partials, types)
picks, folds: which rows a question needs, and which may be brought together before it
planner: all of it, for one SELECT and for a report
"""

from __future__ import annotations

from pipeline.sql.planner import Branch, Plan, Query, plan_query, plan_report

__all__ = ["Branch", "Plan", "Query", "plan_query", "plan_report"]
