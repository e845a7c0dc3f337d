"""Speed and memory, beside other tools in one run: ``make bench``.

Read in this order::

    corpus    the logs: the demo's text in every compression, with its true counts
    peers     the command lines: sawlog's and those of the tools beside it
    children  what a peer in Python runs
    measure   one command's seconds and peak memory; several in turn
    groups    what runs beside what, and the goals
    machine   what it ran on
    table     Markdown
"""
