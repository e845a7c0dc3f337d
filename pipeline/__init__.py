"""sawlog: months of rotated, compressed logs in, tables per day and per process out.

The flow, a module each::

    source → split → read → scan → map → combine → reduce → render

=========  =====================================================================================
module     does
=========  =====================================================================================
source     finds the input objects a user named, in rotation order
split      cuts each into splits, byte ranges or groups of frames, without reading lines
read       turns a split into blocks of whole lines, and notes damage
scan       turns a block into columns: time, host, process, message, … (``kernels/`` do the work)
map        runs every query's map phase over the columns; returns partial aggregates
combine    merges partials, in split order, up to a file's first damage
reduce     merges the last partials and finishes them into result tables
render     shows results on the terminal and writes them to files
run        tells this story in order; nothing else knows it
=========  =====================================================================================

Beside it: ``years`` dates stamps that carry no year, ``sql`` takes a query apart into map, combine
and finish, ``job`` finds the questions, ``cli`` and ``commands`` are the command line.
"""

from __future__ import annotations

__version__ = "0.1.0"
