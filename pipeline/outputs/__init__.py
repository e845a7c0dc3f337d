"""The formats of results, one small file each, and `files`, which puts them in place.

A text format is a function from results to chunks of UTF-8 bytes; a file format writes a path.
`pipeline.render` names them in its tables and imports the one that is asked for.
"""
