"""click; dressed by rich-click where help is to be shown.

Importing the dress takes a tenth of what a run over a small log takes, and only help shows it.
"""

from __future__ import annotations

import sys
from typing import Any

import click

IS_DRESSED = len(sys.argv) < 2 or bool({"-h", "--help"} & set(sys.argv[1:]))

group_class: type[click.Group] = click.Group
command: Any = click.command
group: Any = click.group

if IS_DRESSED:
    import rich_click

    group_class = rich_click.RichGroup
    command = rich_click.command
    group = rich_click.group


def panel(title: str, names: list[str]) -> Any:
    """Return a decorator that shows options together under a title."""
    if not IS_DRESSED:
        return lambda function: function
    return rich_click.option_panel(title, options=names)
