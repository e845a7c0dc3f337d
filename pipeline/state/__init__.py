"""Incremental runs: what was read is known by its content, and its partials are kept.

objects   checksummed objects in a directory or a bucket, and the lease on them
ledger    what was read: contents, the names they went by, the segments that were mapped
parts     partials of a segment ↔ one object
match     source files → contents that are known, appended to, or new
keep      merge small objects; forget old ones; verify all
run       the story of an incremental run
"""
