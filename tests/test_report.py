"""The HTML report: what stands in it, and what a browser makes of it."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import os
import re
import time
from datetime import UTC, datetime
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from pipeline.model import Account, Damage
from pipeline.outputs.model import About, Occasion, Style
from pipeline.report.page import MAX_ROWS, render_page
from tests.support import chromium
from tests.support.hostile import HOSTILE


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One browser for all tests of this module."""
    if chromium.PATH is None:
        pytest.skip("chromium is not installed")
    opened = chromium.Chromium(tmp_path_factory.mktemp("chromium"))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def demo_report(tmp_path_factory, demo):
    """The report of the demo archive, made by the command line in this process."""
    from pipeline.cli import run_command_line

    path = tmp_path_factory.mktemp("report") / "report.html"
    logs = sorted(map(str, demo.glob("maillog*")))
    assert run_command_line(["volume", *logs, "-o", str(path), "-q", "--nice", "0"]) == 0
    return path


ABOUT = About("Who did <i>what</i>?", ("day", "process"), (), frozenset({"bytes"}))


def make_table(names, n_days=3):
    days = [n for n in range(n_days) for _ in names]
    return pa.table(
        {
            "day": pa.array(days, pa.int32()).cast(pa.date32()),
            "process": pa.array(list(names) * n_days),
            "bytes": pa.array([(n % 7) * 1000 + 5 for n in range(len(days))], pa.int64()),
        }
    )


def make_occasion(**changes):
    account = Account()
    account.files, account.lines, account.dated_lines = 2, 1234567, 1234560
    account.undated_lines = 7
    account.years = [
        {"file": "/logs/<a>.log", "first": 2007, "last": 2008, "evidence": "message-ids"}
    ]
    account.damaged = [Damage("/logs/b.gz", "truncated", 10, 20, "ends early")]
    for name, value in changes.items():
        setattr(account, name, value)
    begun = datetime(2008, 1, 7, 12, 30, tzinfo=UTC)
    return Occasion("sawlog volume '/logs/<a>.log'", begun, account, ("<b>damage</b> in b.gz",))


def write(tmp_path, results, **style):
    path = tmp_path / "report.html"
    path.write_text(render_page(results, Style(**style)), encoding="utf-8")
    return path


def test_the_head_says_what_was_asked_over_what_and_what_was_read_warnings_first():
    page = render_page(
        {"volume": make_table(["a"])}, Style(about={"volume": ABOUT}, occasion=make_occasion())
    )

    assert "sawlog volume &#39;/logs/&lt;a&gt;.log&#39;" in page
    assert "2008-01-07 12:30 UTC" in page
    assert "Who did &lt;i&gt;what&lt;/i&gt;?" in page
    for fact in ("1,234,567", "message-ids", "<td>2007</td><td>2008</td>", "<dd>2007 to 2008</dd>"):
        assert fact in page
    assert (
        page.index("&lt;b&gt;damage&lt;/b&gt;") < page.index("1,234,567") < page.index("<figure>")
    )


def test_a_page_names_no_address_and_lets_only_its_own_script_run():
    page = render_page({"volume": make_table(HOSTILE)}, Style(about={"volume": ABOUT}))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]

    assert "default-src &#39;none&#39;" in policy
    assert "unsafe" not in policy
    assert policy.count("sha256-") == 2
    assert not re.findall(r'\b(?:src|action|srcset)="', page)
    # Links: data of the page itself. The namespaces of an SVG are names, nothing is fetched.
    assert {link[:9] for link in re.findall(r'href="([^"]*)"', page)} == {"data:text"}
    assert page.count("<script") == 1
    attributes = read_attributes(page)
    assert not [name for name in attributes if name.startswith("on") or name == "style"]


def read_attributes(page):
    """Return the names of all attributes of all elements."""
    names = set()
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: names.update(dict(attributes))
    parser.feed(page)
    return names


def test_hostile_names_stand_in_the_page_as_text():
    page = render_page({"volume": make_table(HOSTILE)}, Style(about={"volume": ABOUT}))
    body = re.sub(
        r"<script>.*?</script>|<style>.*?</style>|base64,[^\"]*", "", page, flags=re.DOTALL
    )

    assert "&lt;script&gt;window.hacked=1&lt;/script&gt;" in body
    assert "{{ 7 * 7 }}" in body
    assert "\\x1b[31mred" in body
    assert "\\u202egnihtemos" in body
    for character in "\x00\x1b\x07\u202e":
        assert character not in page
    assert "x" * 500 not in body, "names of 10,000 characters are cut"


def test_a_long_table_is_cut_and_the_whole_goes_with_the_page():
    table = make_table([f"p{n}" for n in range(40)], n_days=20)
    page = render_page({"volume": table}, Style(about={"volume": ABOUT}))

    assert f"800 rows, the first {MAX_ROWS} of them here" in page
    assert page.count("<tr><td>") == MAX_ROWS
    link = re.search(
        r'download="volume.csv" href="data:text/csv;charset=utf-8;base64,([^"]*)"', page
    )
    rows = list(csv.reader(io.StringIO(base64.b64decode(link[1]).decode())))
    assert rows[0] == ["day", "process", "bytes"]
    assert len(rows) == 801


def test_a_longer_table_goes_with_the_page_packed():
    table = make_table([f"{n:0100}" for n in range(500)], n_days=60)
    page = render_page({"volume": table}, Style(about={"volume": ABOUT}))

    assert "30,000 rows, the first 500 of them here" in page
    assert "data:text/csv" not in page
    assert len(page) < 1_500_000
    link = re.search(r'download="volume.csv.gz" href="data:application/gzip;base64,([^"]*)"', page)
    text = gzip.decompress(base64.b64decode(link[1])).decode()
    assert text.count("\n") == 30_001


def test_tables_too_large_for_the_page_say_how_to_get_them():
    """Eight megabytes that can't be packed, whether in one table or in several."""
    rows = [os.urandom(1000).hex() for _ in range(4000)]
    whole = {"volume": make_table(rows, 1)}
    parts = {f"part{n}": make_table(rows[1000 * n : 1000 * n + 1000], 1) for n in range(4)}

    for results, said in ((whole, 1), (parts, 2)):
        page = render_page(results, Style())
        assert page.count("<code>-o FILE.csv</code>") == said
        assert len(page) < 6_000_000


def test_a_result_without_rows_or_numbers_is_a_page_without_pictures():
    empty = make_table([])
    names = pa.table({"process": pa.array(["a", "b"])})
    page = render_page({"empty": empty, "names": names}, Style())

    assert "0 rows" in page
    assert "<td>b</td>" in page
    assert "<figure>" not in page


def test_a_chart_that_was_asked_for_and_cannot_be_drawn_is_named():
    """A mean of means would be wrong: the page says why the picture is not there."""
    told = About(
        "", ("day", "process"), ("x=day y=bytes title='<b>'", "x=day y=bytes color=process")
    )

    page = render_page({"mean": make_table(["a", "b"])}, Style(about={"mean": told}))
    empty = render_page({"mean": make_table([])}, Style(about={"mean": told}))

    assert page.count("<figure>") == 1
    assert "Not drawn: &lt;b&gt;" in page
    assert "Not drawn" not in empty, "no rows are no fault of the chart"


def test_a_name_has_the_same_color_in_every_chart_of_a_report():
    first = make_table(["a", "b", "c"])
    second = make_table(["c", "d", "a"])
    page = render_page({"one": first, "two": second}, Style(about={"one": ABOUT, "two": ABOUT}))
    svgs = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)

    def colors(svg):
        return {
            name: re.search(rf'· {name} ·[^>]*? fill="(#\w+)"', svg)[1]
            for name in re.findall(r'aria-label="[^"]*· (\w) ·', svg)
        }

    one, two = map(colors, svgs)
    assert one["a"] == two["a"]
    assert one["c"] == two["c"]
    assert len({*one.values(), *two.values()}) == 4


def test_keys_and_passwords_of_the_command_line_are_not_in_a_report(
    sawlog, demo, tmp_path, monkeypatch
):
    """A report is sent to others; what unlocks the archive is not."""
    path = tmp_path / "report.html"
    arguments = [
        "volume", str(demo / "maillog.4.xz"), "-o", str(path),
        "--storage-option", "key=hunter2", "--storage-option=secret=hun=ter\n2",
        "--process", "sftp://me:hunter2@host/x",
    ]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["sawlog", *arguments])

    ran = sawlog(*arguments)
    page = path.read_text(encoding="utf-8")

    assert ran.code == 0
    assert "hun" not in page
    assert "--storage-option &#39;key=***&#39; &#39;--storage-option=secret=***&#39;" in page
    assert "sftp://me:***@host/x" in page


@pytest.mark.parametrize("missing", ["vl_convert", "jinja2"])
def test_a_report_without_the_packages_is_refused_before_anything_is_read(
    sawlog, demo, monkeypatch, missing
):
    monkeypatch.setattr("pipeline.charts.draw.find_spec", lambda name: name != missing or None)

    ran = sawlog("volume", demo / "maillog", "-o", "report.html")

    assert ran.code == 2
    assert "pip install 'sawlog[report]'" in ran.err


def test_the_demo_report_opens_at_once_and_silently(browser, demo_report):
    """No console message, no request, less than 1.5 MB, less than a second."""
    seconds = min(browser.open(demo_report) for _ in range(2))

    assert browser.complaints() == []
    assert browser.requests() == []
    assert demo_report.stat().st_size < 1_500_000
    assert seconds < 1
    assert browser.run("document.querySelectorAll('figure svg').length") == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_color_schemes_draw_text_that_can_be_read(browser, demo_report, scheme):
    browser.open(demo_report, scheme=scheme)
    ground, text, axis = browser.run(
        """[getComputedStyle(document.body).backgroundColor,
            getComputedStyle(document.body).color,
            getComputedStyle(document.querySelector('.role-axis-label text')).fill]"""
    )
    shot = browser.screenshot()

    assert abs(brightness(ground) - brightness(text)) > 150
    assert (brightness(ground) < 60) == (scheme == "dark")
    assert axis == text
    assert len(shot) > 30_000, "a blank page is a much smaller picture"


def brightness(color):
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3


def test_the_scheme_can_be_switched(browser, demo_report):
    browser.open(demo_report, scheme="light")
    before = browser.run("getComputedStyle(document.body).backgroundColor")
    browser.run("document.querySelector('.scheme').click()")
    after = browser.run("getComputedStyle(document.body).backgroundColor")

    assert brightness(before) > 200 > 60 > brightness(after)


def test_hostile_names_do_not_run(browser, tmp_path):
    table = make_table(HOSTILE)
    path = write(
        tmp_path, {"volume": table, HOSTILE[0]: table}, about={"volume": ABOUT, HOSTILE[0]: ABOUT},
        occasion=make_occasion(),
    )  # fmt: skip
    browser.open(path)
    browser.run(
        """for (const e of document.querySelectorAll('*')) {
             for (const kind of ['mouseover', 'mousemove', 'click', 'error'])
               if (e.tagName !== 'A') e.dispatchEvent(new MouseEvent(kind, {bubbles: true}));
           }"""
    )
    time.sleep(0.2)

    assert browser.run("window.hacked === undefined")
    assert browser.requests() == []
    assert browser.complaints() == []
    shown = browser.run("[...document.querySelectorAll('td')].map(e => e.textContent)")
    assert "<script>window.hacked=1</script>" in shown


def test_a_click_on_a_head_sorts_numbers_as_numbers_and_nulls_last(browser, tmp_path):
    table = pa.table(
        {
            "name": pa.array(["b", None, "a", "c"]),
            "n": pa.array([10, 9, None, 12345678901234567890123], pa.decimal128(38, 0)),
        }
    )
    browser.open(write(tmp_path, {"t": table}))

    def column(at):
        return browser.run(
            "[...document.querySelector('table.result').tBodies[0].rows]"
            f".map(row => row.cells[{at}].textContent)"
        )

    def press(at):
        browser.run(f"document.querySelectorAll('table.result th button')[{at}].click()")
        return browser.run(
            f"document.querySelectorAll('table.result th')[{at}].getAttribute('aria-sort')"
        )

    assert press(1) == "descending"
    assert column(1) == ["12,345,678,901,234,567,890,123", "10", "9", ""]
    assert press(1) == "ascending"
    assert column(1) == ["9", "10", "12,345,678,901,234,567,890,123", ""]
    assert press(0) == "ascending"
    assert column(0) == ["a", "b", "c", ""]


def test_rows_can_be_filtered(browser, demo_report):
    browser.open(demo_report)
    shown = browser.run(
        """(() => { const input = document.querySelector('.filter');
             input.value = '2007-12-26 SMTPD'; input.dispatchEvent(new Event('input'));
             return [...document.querySelector('table.result').tBodies[0].rows]
               .filter(row => !row.hidden).map(row => row.cells[1].textContent); })()"""
    )

    assert shown == ["postfix/smtpd"]


def test_the_mouse_over_a_bar_tells_its_value(browser, demo_report):
    browser.open(demo_report)
    x, y, said = browser.run(
        """(() => { const bar = document.querySelector('[aria-roledescription=bar]');
             const box = bar.getBoundingClientRect();
             return [box.x + box.width / 2, box.y + box.height - 2,
                     bar.getAttribute('aria-label')]; })()"""
    )
    browser.hover(x, y)

    assert browser.run("document.querySelector('.tip').textContent") == said
    assert said.startswith("2007-12-09 · ")
    assert browser.run("document.querySelector('.tip').hidden") is False


def test_a_click_on_the_legend_keeps_one_series(browser, demo_report):
    browser.open(demo_report)
    browser.run("document.querySelectorAll('.role-legend-symbol')[0].dispatchEvent("
                "new MouseEvent('click', {bubbles: true}))")  # fmt: skip
    kept = browser.run(
        """[...new Set([...document.querySelectorAll('[role=graphics-symbol]:not(.faded)')]
             .filter(e => e.closest('svg') === document.querySelectorAll('figure svg')[1])
             .map(e => e.getAttribute('fill') !== 'none' && e.getAttribute('fill')
                       || e.getAttribute('stroke')))]"""
    )

    assert len(kept) == 1


def test_the_account_is_printed_whole(browser, demo_report):
    """On paper nobody can open a list of files."""
    browser.open(demo_report, media="print")
    shown = "[...document.querySelectorAll('details table')].map(e => e.checkVisibility())"

    assert browser.run(shown) == [True]


def test_the_page_can_be_read_without_script(browser, demo_report):
    browser.open(demo_report, script=False)
    shot = browser.screenshot()

    assert len(shot) > 30_000
    text = demo_report.read_text(encoding="utf-8")
    assert text.index("<svg") < text.index("<script>")
