"""The HTML report: one file, complete in itself, harmless whatever the log lines hold."""
