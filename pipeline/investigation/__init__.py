"""From "the log has grown" to what carried it: one pass, and what it found in order of weight.

changes.py          when did a series of numbers change its level?
surge_queries.py    the questions over lines and mail, as SQL
surge_series.py     bytes by day or hour; days that the log holds in part; silence
surge_periods.py    which stretch is compared with which
surge_growth.py     what grew between them, by process, host, reason, sender, queue id
surge.py            all of it in order: tables → Surge
surge_text.py       Surge → text (surge_tables.py: → tables)
surge_command.py    ``sawlog surge``
overview_*.py       ``sawlog SOURCE…``: the same and more on one screen
"""
