"""trace: every line of the messages that were asked for, and of those tied to them, and no other."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import UsageError
from pipeline.kernels import find as compiled
from pipeline.settings import Settings
from pipeline.trace import run
from pipeline.trace.query import read_queries
from pipeline.trace.run import trace
from pipeline.trace.show import where
from tests.support.kernels import reference

CASES = Path(__file__).parent / "cases" / "trace"
_MTIME = 1_204_400_000


@pytest.mark.parametrize("path", sorted(CASES.glob("*.toml")), ids=lambda path: path.stem)
def test_case(sawlog, tmp_path, path):
    """The numbers of the lines are what the case says, however small the splits are."""
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    log = tmp_path / "log"
    log.write_text(case["input"].removeprefix("\n"))

    for split_bytes in (1 << 40, 300):
        arguments = [*case["args"], log, "--year", "2008", "--to", "json"]
        ran = sawlog("trace", *arguments, "--split-size", split_bytes)
        assert case.get("code", 0) == ran.code, ran.err
        stories = [[line["line"] for line in story["lines"]] for story in json.loads(ran.out)]
        assert case["lines"] == stories, case["note"]
        ids = [[one["queue_id"] for one in story["messages"]] for story in json.loads(ran.out)]
        assert case["messages"] == ids, case["note"]


@given(
    text=st.text(st.sampled_from("aAbB\n"), max_size=200).map(str.encode),
    needles=st.lists(
        st.tuples(
            st.text(st.sampled_from("aAbB"), min_size=1, max_size=3).map(str.encode), st.booleans()
        ),
        max_size=3,
    ),
    n_kept=st.integers(0, 3),
    room=st.integers(1, 4),
    padding=st.sampled_from([0, 60, 16_384 - 20, 16_384 - 3]),
    is_within=st.booleans(),
)
def test_the_kernel_finds_the_lines_that_hold_a_text(
    text, needles, n_kept, room, padding, is_within
):
    """Compiled and interpreted, whatever the room for results, as a loop over the lines does."""
    n_kept = min(n_kept, len(needles))
    # Steps and parts of the compiled kernel end within the text; the line before it is not its.
    text = b"x" * padding + text
    before = b"aAbB\n" if is_within else b""
    expected, at = [], len(before)
    for number, line in enumerate(text.splitlines(keepends=True)):
        held = [_holds(line, *needle) for needle in needles]
        if any(held):
            expected.append((at, at + len(line), number, any(held[:n_kept])))
        at += len(line)
    block = bytearray(before + text) or bytearray(1)
    for kernel in (compiled, reference("find")):
        finder = kernel.Finder(needles, n_kept)
        found = memoryview(bytearray(32 * room)).cast("q")
        seen, at, n_lines = [], len(before), 0
        while at < len(before) + len(text):
            n, at, n_ends = finder.find(block, at, len(before) + len(text), found)
            for k in range(0, 4 * n, 4):
                begin, end, number, is_kept = found[k : k + 4]
                seen.append((begin, end, n_lines + number, bool(is_kept)))
            n_lines += n_ends
        assert expected == seen
        assert text.count(b"\n") == n_lines
        assert text.count(b"\n") == kernel.count_lines(block, len(before), len(before) + len(text))


def _holds(line: bytes, needle: bytes, fold: bool) -> bool:
    folded = bytes.lower if fold else bytes
    return folded(needle) in folded(line)


def test_long_texts_are_found_in_their_steps():
    """The compiled kernel looks at 64 positions at once, in parts; its edges are met, too."""
    for at in (*range(200), *range(16_300, 16_500)):
        block = bytearray(b"x" * at + b"needle" + b"y" * 70 + b"\n")
        found = memoryview(bytearray(32)).cast("q")
        n, stop, n_lines = compiled.Finder([(b"needle", False)], 1).find(
            block, 0, len(block), found
        )
        assert (1, len(block), 1) == (n, stop, n_lines)
        assert [0, len(block), 0, 1] == list(found)


def _mail(n: int, who: str, to: str, queue_id: str) -> list[str]:
    head = f"Mar  1 10:{n // 60:02}:{n % 60:02} mx1 postfix"
    return [
        f"{head}/smtpd[{n}]: connect from c.example[192.0.2.{n % 250}]",
        f"{head}/smtpd[{n}]: {queue_id}: client=c.example[192.0.2.{n % 250}]",
        f"{head}/qmgr[1]: {queue_id}: from=<{who}>, size=1, nrcpt=1 (queue active)",
        f"{head}/smtpd[{n}]: disconnect from c.example[192.0.2.{n % 250}]",
        f"{head}/smtp[2]: {queue_id}: to=<{to}>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (ok)",
        f"{head}/qmgr[1]: {queue_id}: removed",
    ]


@given(
    mails=st.lists(
        st.tuples(
            st.sampled_from("ab"), st.sampled_from("ab"), st.sampled_from(["AAAAA1", "AAAAA2"])
        ),
        min_size=1,
        max_size=8,
    ),
    query=st.sampled_from(["AAAAA1", "a@x.example", "@x.example", "192.0.2.3", "192.0.2.0/29"]),
    split_bytes=st.integers(50, 3000),
)
def test_a_trace_has_the_lines_of_its_messages_and_no_others(mails, query, split_bytes):
    """Ids are used again at once; sessions are those of their message, whatever is cut where."""
    made = [
        _mail(n, f"{who}@x.example", f"{to}@y.example", one)
        for n, (who, to, one) in enumerate(mails)
    ]
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        log.write_text("".join(f"{line}\n" for lines in made for line in lines))
        os.utime(log, (_MTIME, _MTIME))
        traced = trace(
            read_queries([query], (), (), "any"),
            [str(log)],
            Settings(split_bytes=split_bytes, workers=1),
        )
        expected = []
        for n, (who, _, one) in enumerate(mails):
            is_asked = {
                "AAAAA1": one == "AAAAA1", "a@x.example": who == "a", "@x.example": True,
                "192.0.2.3": n == 3, "192.0.2.0/29": True,
            }[query]  # fmt: skip
            if is_asked:
                expected.append([f"{log}:{6 * n + k}" for k in range(1, 7)])
        assert expected == [[where(row) for row in story.rows] for story in traced.stories]


@pytest.mark.parametrize(("split_bytes", "n_passes"), [(1 << 40, 2), (2_000_000, 3)])
def test_sessions_over_the_edges_of_blocks_take_no_further_pass(
    tmp_path, monkeypatch, split_bytes, n_passes
):
    """Over those of splits they take one over the splits beside; here that is all of them."""
    made = [_mail(n, "a@x.example", "b@y.example", f"{n:05X}A") for n in range(3000)]
    filler = [f"Mar  1 10:00:00 mx1 x[{k}]: {'y' * 1200}" for k in range(10)]
    # Every session is under way while others are; some 200 lines lie between its first and last.
    lines = [(18 * n + 6 * k, line) for n, mail in enumerate(made) for k, line in enumerate(mail)]
    lines += [(18 * n, line) for n in range(3000) for line in filler[: 10 * (n % 3 == 0)]]
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for _, line in sorted(lines, key=lambda one: one[0])))
    os.utime(log, (_MTIME, _MTIME))
    seen = []
    search = run._searched

    def count(searcher, tasks, settings):
        seen.append(len(tasks))
        return search(searcher, tasks, settings)

    monkeypatch.setattr(run, "_searched", count)

    traced = trace(
        read_queries(["@x.example"], (), (), "any"),
        [str(log)],
        Settings(split_bytes=split_bytes, workers=1),
    )

    of_messages = [sorted(row["raw"].decode().strip() for row in s.rows) for s in traced.stories]
    assert sorted(map(sorted, made)) == sorted(of_messages)
    assert n_passes == len(seen)
    text = log.read_text().splitlines()
    for story in traced.stories[::100]:
        for row in story.rows:
            assert text[row["number"] - 1] == row["raw"].decode().strip()


def test_sessions_that_never_end_are_followed_together(tmp_path):
    """However many there are: the lines of each are those from its connect on."""
    made = [_mail(n, "a@x.example", "b@y.example", f"{n:05X}A") for n in range(3500)]
    lines = [line for mail in made for line in mail if "disconnect" not in line]
    log = tmp_path / "log"
    log.write_text("".join(f"{line}\n" for line in lines))
    os.utime(log, (_MTIME, _MTIME))

    queries = read_queries(["@x.example"], (), (), "any")
    traced = trace(queries, [str(log)], Settings(split_bytes=200_000, workers=1))

    assert len(made) == len(traced.stories)
    assert lines == [row["raw"].decode().strip() for s in traced.stories for row in s.rows]


def test_lines_are_where_a_trace_says(sawlog, demo):
    """FILE:N is line N of the text of FILE, also in the middle of a compressed one."""
    logs = sorted(demo.glob("maillog*"))
    truth = json.loads((demo / "truth" / "story.json").read_text())
    ran = sawlog("trace", truth["queue_id"], *logs, "--limit", 0, "--split-size", "100kB")

    shown = [line for line in ran.out.splitlines() if line.startswith(str(demo))]
    assert sum(truth["attempts"].values()) == sum("status=deferred" in line for line in shown)
    for line in shown[:: len(shown) // 5]:
        name, number, text = line.split(":", 2)
        cat = {".gz": "zcat", ".zst": "zstdcat", ".xz": "xzcat"}.get(Path(name).suffix, "cat")
        found = subprocess.run(
            ["bash", "-c", f"{cat} {name} | sed -n {number}p"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert found.stdout.rstrip("\n") == text[1:]


def test_the_story_of_the_forged_sender_is_whole(sawlog, demo):
    """The spam, its session with the warning, the list's refusal, and the mail that got stuck."""
    truth = json.loads((demo / "truth" / "story.json").read_text())
    ran = sawlog("trace", truth["forged_sender"], *sorted(demo.glob("maillog*")), "--to", "json")

    stories = json.loads(ran.out)
    ids = [one["queue_id"] for story in stories for one in story["messages"]]
    assert {truth["spam_queue_id"], truth["queue_id"]} <= set(ids)
    texts = "\n".join(line["text"] for story in stories for line in story["lines"])
    for part in (
        "reject_warning",
        "connect from",
        truth["list_address"],
        "post from",
        "status=expired",
    ):
        assert part in texts


def test_csv_has_a_row_for_each_message_and_recipient(sawlog, demo):
    """Attempts and last status, as the true counts have them."""
    truth = json.loads((demo / "truth" / "story.json").read_text())
    ran = sawlog("trace", truth["queue_id"], *sorted(demo.glob("maillog*")), "--to", "csv")

    (row,) = csv.DictReader(io.StringIO(ran.out))
    assert truth["forged_sender"] == row["recipient"]
    assert sum(truth["attempts"].values()) == int(row["attempts"])
    assert ("deferred", "true") == (row["status"], row["expired"])


def test_nothing_found_is_exit_5_and_damage_goes_first(sawlog, demo, tmp_path):
    """After a clean full read only; a limit says what it left out."""
    logs = sorted(demo.glob("maillog*"))
    assert 5 == sawlog("trace", "FFFFFFFFFF", *logs).code
    cut = tmp_path / "maillog.2.gz"
    cut.write_bytes((demo / "maillog.2.gz").read_bytes()[:-1000])
    assert 3 == sawlog("trace", "FFFFFFFFFF", cut).code
    truth = json.loads((demo / "truth" / "story.json").read_text())
    ran = sawlog("trace", truth["queue_id"], *logs, "--limit", 3)
    assert ran.out.splitlines()[-1].startswith("… ")
    assert "more lines" in ran.out
    assert 3 == sum(line.startswith(str(demo)) for line in ran.out.splitlines())


def _table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_folder_to_hand_over_can_be_checked(sawlog, demo, tmp_path):
    """Verbatim lines, their places, digests of sources and of all files, coverage, account."""
    logs = sorted(demo.glob("maillog*"))
    truth = json.loads((demo / "truth" / "story.json").read_text())
    out = tmp_path / "evidence"
    ran = sawlog("trace", truth["spam_queue_id"], *logs, "-o", f"{out}/", "-q")

    assert 0 == ran.code, ran.err
    for line in (out / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert digest == hashlib.sha256((out / name).read_bytes()).hexdigest()
    sources = {row["file"]: row["sha256"] for row in _table(out / "sources.csv")}
    assert sources == {str(log): hashlib.sha256(log.read_bytes()).hexdigest() for log in logs}
    text = (out / "lines" / "01.log").read_bytes()
    assert text.count(b"\n") == len(_table(out / "positions.csv"))
    assert truth["spam_queue_id"].encode() in text
    account = json.loads((out / "account.json").read_text())
    lines = sum(int(row["lines"]) for row in _table(out / "coverage.csv"))
    assert account["lines"] == lines == truth["lines"]
    assert "<script" not in (out / "timeline.html").read_text()
    assert 2 == sawlog("trace", truth["spam_queue_id"], *logs, "-o", f"{out}/").code


def test_what_strangers_wrote_is_text_in_a_page(sawlog, tmp_path):
    """Neither tags nor control characters."""
    log = tmp_path / "log"
    log.write_text(
        "Mar  1 10:00:00 mx1 postfix/qmgr[1]: 4A1B2C: from=<<script>alert(1)</script>\x1b[31m@x.example>, size=1, nrcpt=1 (queue active)\n"
    )
    ran = sawlog("trace", "4A1B2C", log, "--year", 2008, "-o", tmp_path / "t.html")

    page = (tmp_path / "t.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page + ran.out


@pytest.mark.parametrize(
    ("texts", "patterns"),
    [([""], ()), ([], ()), (["a b"], ()), (["192.0.2.300/24"], ()), ([], ["("])],
)
def test_what_cannot_be_traced_is_told(texts, patterns):
    """Before anything is read."""
    with pytest.raises(UsageError):
        read_queries(texts, (), patterns, "any")


@pytest.mark.parametrize(
    "options",
    [
        ["--where", "true"],
        ["--process", "x"],
        ["--by", "day"],
        ["--match", "nix"],
        ["--queries", "/nowhere"],
    ],
)
def test_options_that_do_not_fit_are_refused(sawlog, demo, options):
    """Exit 2."""
    assert 2 == sawlog("trace", "4A1B2C", demo / "maillog", *options).code


def test_queries_come_from_a_file(sawlog, demo, tmp_path):
    """As many as there are lines; beyond some dozens every line is parsed instead."""
    truth = json.loads((demo / "truth" / "story.json").read_text())
    logs = sorted(demo.glob("maillog*"))
    few, many = tmp_path / "few", tmp_path / "many"
    few.write_text(f"# two\n{truth['queue_id']}\n\n{truth['spam_queue_id']}\n")
    many.write_text(few.read_text() + "".join(f"FFFFFF{k:04}\n" for k in range(40)))

    ran = [sawlog("trace", "--queries", path, *logs, "--to", "csv").out for path in (few, many)]
    assert ran[0] == ran[1]
    assert 3 == len(ran[0].splitlines())
