"""Causes in words, and what is no cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.investigation.surge_text import flat_processes, tell_share
from pipeline.outputs.table import cut_cells
from pipeline.text import escape_visibly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.investigation.overview import Cause, Overview
    from pipeline.investigation.surge import Surge

_NAME = 50


def tell_causes(causes: Sequence[Cause]) -> list[str]:
    """Return a sentence for each cause."""
    return [_TOLD[cause.kind].format(**_words(cause)) for cause in causes]


#: By kind; where the log names nobody, ``_of`` and its like are empty.
_TOLD = {
    "backscatter": "backscatter: {share} of these attempts are for answers that {name}, here, "
    "writes to forged senders",
    "bounces": "backscatter: {share} of these attempts are for bounces that Postfix writes here, "
    "to senders who can't be reached",
    "unresolvable": "{share} of these attempts fail because the name {name} can't be resolved",
    "unreachable": "{share} of these attempts are for {name}: {detail}",
    "login": "{share} of the mail is sent after login by {name}",
    "refusals": "a flood of mail that is refused: {share} of the lines, {detail}{from_name}",
    "guessing": "somebody guesses passwords: {share} of the lines are logins that failed"
    "{from_name}",
}


def _words(cause: Cause) -> dict[str, str]:
    name = "(none)" if cause.name is None else cut_cells(escape_visibly(cause.name), _NAME)
    return {
        "share": tell_share(cause.share),
        "name": name,
        "detail": escape_visibly(cause.detail or "for no known reason"),
        "from_name": "" if cause.name is None else f", most from {name}",
    }


def tell_innocent(overview: Overview, surge: Surge) -> str:
    """Return what the cause is not: what did not grow, and what was looked for and not found."""
    told = []
    if surge.main is not None and (flat := flat_processes(surge)):
        told.append(f"{', '.join(flat)} {'is' if len(flat) == 1 else 'are'} flat")
    kinds = {cause.kind for cause in overview.causes}
    if overview.is_mail and overview.stuck is not None and not kinds & {"login", "guessing"}:
        told.append("no abuse of logins seen")
    if not surge.silence and surge.knows_silence:
        told.append("no silent hours")
    return " · ".join(told)
