"""The report of pflogsumm, from its own arguments and in its own layout.

    arguments.py   what may stand on pflogsumm's command line → Arguments
    period.py      ``-d today`` … → first and last day
    queries.py     the questions over mail, messages and deliveries, as SQL
    connections.py the one question that needs lines in order, as a Python job
    facts.py       what they return
    sections.py    facts → rows of each section: folded, cut, added up
      addresses.py   which address and which domain a line counts for
      reasons.py     which words of a reason are kept
    rows.py        the rows of each section
    layout.py      rows → text (tables.py and details.py have the two kinds of section)
      units.py       numbers, times and names as the report writes and sorts them

Nothing here reads a log or runs a query: functions of plain rows and texts. Written from what the
program does with given lines; no line of it is taken from there.
"""
