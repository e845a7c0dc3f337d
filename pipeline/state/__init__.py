"""Incremental runs: what was read is known by its content, and its partials are kept.

places    a directory, a bucket, what else fsspec knows; lease: one run at a time on it
objects   checksummed objects in a place
contents  what was read, the names it went by, the segments that were mapped; ledger: all of it
parts     partials of a segment ↔ one object; parquet: their tables ↔ bytes
questions those about a time: what has nothing to tell them, and when they go
match     source files → contents that are known, appended to, or new
keep      merge small objects; forget old ones; verify all
run       the story of an incremental run
"""
