"""Access logs of a web server, made up: visitors, bots, scanners, errors, and what strangers send."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

_PATHS = ("/", "/index.html", "/news/", "/news/2007/12/", "/static/site.css", "/static/logo.png", "/search", "/login", "/api/v1/items", "/list/archive")  # fmt: skip
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "curl/7.88.1",
    "-",
)
_STATUSES = (200,) * 16 + (304, 301, 404, 403, 500)


def access_lines(
    n_lines: int, seed: int = 1, begin: datetime = datetime(2007, 12, 24)
) -> list[str]:
    """Return lines of combined logs with nginx's request time, in order, over four days."""
    rng = random.Random(seed)
    step = timedelta(days=4) / max(1, n_lines)
    clients = [f"{rng.choice(('192.0.2', '198.51.100', '203.0.113'))}.{rng.randrange(256)}" for _ in range(2000)]  # fmt: skip
    lines = []
    for k in range(n_lines):
        stamp = (begin + step * k).strftime("%d/%b/%Y:%H:%M:%S +0100")
        path = rng.choice(_PATHS)
        if path == "/search":
            path += f"?q={rng.randrange(500)}"
        method = "POST" if path == "/login" else "GET"
        user = rng.choice(("alice", "bob")) if rng.random() < 0.02 else "-"
        referer = rng.choice(("-", "-", "https://www.example.com/news/", "https://search.example.net/?q=mail"))  # fmt: skip
        seconds = rng.expovariate(8)
        lines.append(
            f'{rng.choice(clients)} - {user} [{stamp}] "{method} {path} HTTP/1.1" {rng.choice(_STATUSES)} '
            f'{rng.randrange(40_000)} "{referer}" "{rng.choice(_AGENTS)}" {seconds:.3f}'
        )
    return lines
