"""The built-in jobs: one file, one question. README.md tells how to write one."""
