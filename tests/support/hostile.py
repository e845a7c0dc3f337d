"""Names that a stranger may write into a log, and what they try to do where they are shown."""

from __future__ import annotations

HOSTILE = (
    "<script>window.hacked=1</script>",
    "</svg><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=1>",
    '"><b onmouseover="window.hacked=1">x',
    "' onclick='window.hacked=1",
    "javascript:window.hacked=1",
    "{{ 7 * 7 }}",
    "{% include '/etc/passwd' %}",
    "${7*7}",
    "datum.value; window.hacked=1",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnihtemos\u202c",
    "a\x00b",
    "a\tb\nc\rd",
    "日本語のプロセス名",
    "e\u0301" * 30,
    "]]><!--",
    "&lt;script&gt;",
    "=cmd|'/c calc'!A1",
    "x" * 10_000,
)
