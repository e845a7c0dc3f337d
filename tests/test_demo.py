"""The demo archive: an independent, slow reader finds in it what its truth and the case say."""

from __future__ import annotations

import csv
import gzip
import json
import lzma
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from random import Random
from statistics import median
from typing import TYPE_CHECKING

import pytest
import zstandard

import pipeline.demo
from pipeline.demo import DEFAULT_SIZE_MB, make_demo
from pipeline.demo.log import Log
from pipeline.demo.names import Names
from pipeline.demo.server import Server
from pipeline.errors import OutputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

# Oldest first.
FILES = ["maillog.4.xz", "maillog.3.zst", "maillog.2.gz", "maillog.1", "maillog"]
COMPRESSIONS = ["xz", "zstd", "gzip", "plain", "plain"]
STORY_ID = "90442C9CB29"
STORY_DAYS = {
    "2007-12-25": 14, "2007-12-26": 261, "2007-12-27": 461, "2007-12-28": 287,
    "2007-12-29": 345, "2007-12-30": 102, "2007-12-31": 0,
}  # fmt: skip

_STAMP = re.compile(r"(Dec|Jan) ([ \d]\d) (\d\d:\d\d:\d\d) mx1 (.*)", re.DOTALL)
_TAG = re.compile(r"([^\s:\[]+)(?:\[[^\]]*\]|:)")
_PID = re.compile(r"[^\s\[]+\[(\d+)\]: ")
_MAIL = re.compile(r"postfix/\w+\[\d+\]: ([0-9A-F]{11}): (.*)")
_DELIVERY = re.compile(r"to=<([^>]*)>.*?, relay=([^,]+), .*?, status=(\w+) \((.*)\)$")
_REJECT = re.compile(r"NOQUEUE: reject: RCPT from (\S+): \d{3} \d\.\d\.\d (.*?); from=<")
_OWN_ID = re.compile(r"message-id=<(\d{14})\.([0-9A-F]+)@mx1\.example\.net>")


@dataclass
class Line:
    """One line as read back; an undated one has no day and no time."""

    file: str
    size: int
    day: str = ""
    time: str = ""
    process: str = ""
    text: str = ""


@dataclass
class Demo:
    """A demo archive read back."""

    folder: Path
    plain: dict[str, bytes]
    lines: list[Line]
    story: dict = field(default_factory=dict)

    def truth(self, name: str) -> list[list[str]]:
        with (self.folder / "truth" / name).open(encoding="utf-8", newline="") as f:
            return list(csv.reader(f))[1:]


def read_plain(path: Path) -> bytes:
    stored = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(stored)
    if path.suffix == ".xz":
        return lzma.decompress(stored)
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(stored)
    return stored


def name_process(text: str) -> str:
    if text.startswith("last message repeated "):
        return "(last message repeated)"
    if text == "-- MARK --":
        return "(mark)"
    tag = _TAG.match(text)
    return tag[1] if tag else "(no tag)"


def parse_line(file: str, line: bytes) -> Line:
    stamp = _STAMP.fullmatch(line.removesuffix(b"\n").decode("latin-1"))
    if stamp is None:
        return Line(file, len(line))
    month, day, clock, text = stamp.groups()
    date = f"2007-12-{int(day):02d}" if month == "Dec" else f"2008-01-{int(day):02d}"
    return Line(file, len(line), date, f"{date} {clock}", name_process(text), text)


def read_demo(folder: Path) -> Demo:
    plain = {name: read_plain(folder / name) for name in FILES}
    lines = [
        parse_line(name, line) for name in FILES for line in plain[name].splitlines(keepends=True)
    ]
    story = json.loads((folder / "truth/story.json").read_text(encoding="utf-8"))
    return Demo(folder, plain, lines, story)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """Return the smallest archive."""
    folder = tmp_path_factory.mktemp("demo") / "new"
    make_demo(folder, 1)
    return read_demo(folder)


@pytest.fixture(scope="module")
def demo10(tmp_path_factory):
    """Return an archive in which the case has room, a third of the default's size."""
    folder = tmp_path_factory.mktemp("demo10")
    make_demo(folder, 10)
    return read_demo(folder)


@pytest.fixture(params=["demo", "demo10"])
def any_demo(request):
    return request.getfixturevalue(request.param)


def find_deliveries(demo: Demo):
    for line in demo.lines:
        mail = _MAIL.match(line.text)
        if mail and (delivery := _DELIVERY.match(mail[2])):
            yield line, mail[1], *delivery.groups()


# ---- the truth equals a recount -------------------------------------------------------------


def test_the_truth_of_volume_is_what_a_recount_finds(any_demo):
    """Lines and bytes by day and process, undated lines last."""
    count = defaultdict(lambda: [0, 0])
    for line in any_demo.lines:
        count[line.day, line.process][0] += 1
        count[line.day, line.process][1] += line.size
    recounted = sorted(
        ([*key, *map(str, n)] for key, n in count.items()), key=lambda row: (row[0] == "", row)
    )

    assert recounted == any_demo.truth("volume.csv")
    assert recounted[-1][:2] == ["", ""], "the demo has undated lines"


def test_the_truth_of_files_is_what_a_recount_finds(any_demo):
    """Stored and plain bytes, lines, first and last stamp of each file."""
    rows = []
    for name, compression in zip(FILES, COMPRESSIONS, strict=True):
        lines = [line for line in any_demo.lines if line.file == name]
        times = [line.time for line in lines if line.time]
        stored, plain = (any_demo.folder / name).stat().st_size, len(any_demo.plain[name])
        rows.append(
            [name, compression, str(stored), str(plain), str(len(lines)), times[0], times[-1]]
        )

    assert sorted(rows) == any_demo.truth("files.csv")
    assert sum(int(row[3]) for row in rows) == any_demo.story["plain_bytes"]
    assert sum(int(row[4]) for row in rows) == any_demo.story["lines"]


def test_the_truth_of_retries_is_what_a_recount_finds(any_demo):
    """Deferred deliveries by day and queue id, with what the day's last one said."""
    count, last = Counter(), {}
    for line, queue_id, to, relay, status, reason in find_deliveries(any_demo):
        if status == "deferred":
            count[line.day, queue_id] += 1
            last[line.day, queue_id] = [reason, to, relay]

    assert [
        [day, "mx1", queue_id, str(n), *last[day, queue_id]]
        for (day, queue_id), n in sorted(count.items())
    ] == any_demo.truth("retries.csv")


def test_the_truth_of_deliveries_is_what_a_recount_finds(any_demo):
    """Delivery lines by day and status, and all three statuses occur."""
    count = Counter((line.day, status) for line, _, _, _, status, _ in find_deliveries(any_demo))

    assert [[*key, str(n)] for key, n in sorted(count.items())] == any_demo.truth("deliveries.csv")
    assert {status for _, status in count} == {"sent", "deferred", "bounced"}


def test_the_truth_of_rejects_is_what_a_recount_finds(any_demo):
    """Reject lines by day, reason without its variable parts, and client."""
    count = Counter()
    for line in any_demo.lines:
        if reject := _REJECT.search(line.text):
            reason = re.sub(r"^<.*?>: | \[[\d.]+\]|; http\S+", "", reject[2])
            count[line.day, reason, reject[1]] += 1

    assert [[*key, str(n)] for key, n in sorted(count.items())] == any_demo.truth("rejects.csv")
    assert len({reason for _, reason, _ in count}) == 6


def test_the_truth_of_stuck_messages_is_what_the_log_tells(any_demo):
    """Each is the list's answer, from <>, to a spam whose sender is its recipient."""
    lives = defaultdict(list)
    for line in any_demo.lines:
        if mail := _MAIL.match(line.text):
            lives[mail[1]].append((line.time, mail[2]))
    warned = "\n".join(line.text for line in any_demo.lines if "reject_warning" in line.text)

    rows = any_demo.truth("stuck.csv")
    for queue_id, sender, spam_id, client, born, given_up, attempts in rows:
        spam, answer = lives[spam_id], lives[queue_id]
        assert spam[0][1] == f"client={client}"
        assert any(f"from=<{sender}>," in text for _, text in spam)
        assert any(text.startswith("to=<maint@lists.example.net>") for _, text in spam)
        assert f"RCPT from {client}: 554" in warned
        assert f"from=<{sender}> to=<maint@lists.example.net>" in warned
        assert answer[0] == (born, "uid=41 from=<>")
        deferred = [text for _, text in answer if "status=deferred" in text]
        assert len(deferred) == int(attempts) > 0
        assert all(text.startswith(f"to=<{sender}>") for text in deferred)
        over = [time for time, text in answer if "status=expired" in text]
        assert over == ([given_up] if given_up else [])
    assert len(rows) == any_demo.story["stuck_messages"]
    assert sum(not row[5] for row in rows) == any_demo.story["waiting_at_end"]
    assert sum(int(row[6]) for row in rows) == any_demo.story["stuck_attempts"]
    expired = [q for q, life in lives.items() if any("status=expired" in text for _, text in life)]
    assert len(expired) == any_demo.story["expired"]


# ---- the case of DESIGN §1 ------------------------------------------------------------------


def test_the_message_of_the_case_has_its_attempts_at_any_size(any_demo):
    """By postfix/smtp, timed out and refused; expired on Dec 30, without a trace after it."""
    days, outcomes, last = Counter(), set(), ""
    for line in any_demo.lines:
        if STORY_ID in line.text:
            last = line.text
            if "status=" in line.text and line.process == "postfix/smtp":
                assert "status=deferred" in line.text
                days[line.day] += 1
                outcomes.add(line.text.rpartition(": ")[2])
            assert line.day < "2007-12-31"

    assert dict(days) == {day: n for day, n in STORY_DAYS.items() if n}
    assert outcomes == {"Connection timed out)", "Connection refused)"}
    assert last.endswith(f": {STORY_ID}: removed")
    assert any_demo.story["attempts"] == STORY_DAYS
    assert any_demo.story["forged_sender"] == "sally@uk.psi.example"
    ids = [row[2] for row in any_demo.truth("retries.csv")]
    assert ids.count(STORY_ID) == 6


def daily(demo: Demo, column: int, *processes: str) -> list[int]:
    """Sum a column of the volume by day, over some or all processes."""
    total = Counter()
    for day, process, *values in demo.truth("volume.csv"):
        if day and (not processes or process in processes):
            total[day] += int(values[column])
    return [n for _, n in sorted(total.items())]


def test_the_volume_grows_three_to_four_times_from_dec_26(demo10):
    """Whole days of the surge, against the mean of the whole days before it."""
    volume = daily(demo10, 1)
    assert len(volume) == 30
    usual = sum(volume[1:17]) / 16

    assert all(0.8 < n / usual < 1.2 for n in volume[1:17])
    assert usual == pytest.approx(median(volume[:17]), rel=0.05)
    assert all(3 < n / usual < 4 for n in volume[17:28])


def test_qmgr_and_smtp_carry_the_growth_and_smtpd_is_flat(demo10):
    """From Dec 26 at least four times each; smtpd within a quarter of its mean every day."""
    smtpd = daily(demo10, 0, "postfix/smtpd")
    assert all(0.75 < n * 30 / sum(smtpd) < 1.25 for n in smtpd)
    for process in ("postfix/qmgr", "postfix/smtp"):
        days = daily(demo10, 1, process)
        assert min(days[17:28]) > 4 * sum(days[:17]) / 17
    volume = daily(demo10, 1)
    carriers = daily(demo10, 1, "postfix/qmgr", "postfix/smtp")
    growth, carried = (sum(d[17:28]) / 11 - sum(d[:17]) / 17 for d in (volume, carriers))
    assert carried > 0.9 * growth


def test_the_files_have_the_proportions_of_the_case(demo10):
    """119, 118, 255, 412 and 78 MB for the weeks, oldest first."""
    sizes = [len(demo10.plain[name]) for name in FILES]

    for size, share in zip(sizes, (119, 118, 255, 412, 78), strict=True):
        assert size / sum(sizes) == pytest.approx(share / 982, rel=0.07)
    assert sum(sizes) == pytest.approx(10e6, rel=0.02)


def test_the_default_has_three_hundred_stuck_messages(demo10):
    """Ten MB are enough for that; a tiny archive has fewer."""
    assert demo10.story["stuck_messages"] == pipeline.demo.story.count_stuck(DEFAULT_SIZE_MB) == 300
    assert demo10.story["surge_day"] == "2007-12-26"
    assert demo10.story["list_address"] == "maint@lists.example.net"


# ---- lines as a mail server writes them -----------------------------------------------------


def test_lines_are_in_order_of_time_across_the_rotation(any_demo):
    """No file begins before the end of the one before it, which rotated Sundays at 04:02."""
    times = [line.time for line in any_demo.lines if line.time]
    firsts = {line.file: line.time for line in reversed(any_demo.lines) if line.time}

    assert times == sorted(times)
    assert [firsts[name][:16] for name in FILES] == [
        "2007-12-09 04:02", "2007-12-16 04:02", "2007-12-23 04:02", "2007-12-30 04:02",
        "2008-01-06 04:02",
    ]  # fmt: skip
    assert times[-1][:15] in {"2008-01-07 18:5", "2008-01-07 19:0"}
    assert all(text.endswith(b"\n") for text in any_demo.plain.values())


def test_every_message_has_a_whole_life(any_demo):
    """It comes in one of three ways, is queued, delivered, removed last, and its id is its own."""
    lives = defaultdict(list)
    for line in any_demo.lines:
        if mail := _MAIL.match(line.text):
            lives[mail[1]].append((line.process.removeprefix("postfix/"), mail[2], line.time))
    noted = {text.rpartition(" ")[2] for life in lives.values() for _, text, _ in life
             if "non-delivery notification" in text}  # fmt: skip

    n_open = 0
    for queue_id, life in lives.items():
        process, text, _ = life[0]
        assert text.startswith("client=") or process == "pickup" or queue_id in noted
        removed = [place for place, (_, text, _) in enumerate(life) if text == "removed"]
        n_open += not removed
        assert removed in ([], [len(life) - 1])
        assert sum("message-id=" in text for _, text, _ in life) == 1
        texts = [text for _, text, _ in life]
        active = [place for place, text in enumerate(texts) if "(queue active)" in text]
        done = [place for place, text in enumerate(texts) if text.startswith("to=<")]
        assert removed == [] or active[0] < done[0]
        sender = {text.partition(">")[0] for text in texts if text.startswith("from=<")}
        assert len(sender) == 1
    # What is still waiting, and mails cut by the end of the log.
    assert n_open <= any_demo.story["waiting_at_end"] + 25


def test_an_smtpd_serves_one_client_at_a_time(any_demo):
    """Between connect and disconnect of a process stand lines of this client only."""
    serving = {}
    for line in any_demo.lines:
        if line.process != "postfix/smtpd":
            continue
        pid, text = _PID.match(line.text)[1], _PID.sub("", line.text, count=1)
        if text.startswith("connect from "):
            assert pid not in serving
            serving[pid] = text.removeprefix("connect from ")
        elif text.startswith("disconnect from "):
            assert text.removeprefix("disconnect from ") == serving.pop(pid)
        elif pid in serving:
            assert serving[pid] in text
        else:
            assert text.startswith("warning: ")


@pytest.fixture
def server():
    random = Random(1)
    return Server(Log(), Names(random), random)


def test_a_busy_smtpd_is_not_given_a_second_client(server):
    """It is free again a second after its disconnect."""
    client = server.names.spammers[0]
    first = server.connect(20_000, client)
    server.disconnect(20_002, first, client)

    assert server.connect(20_002, client) != first
    assert server.connect(20_003, client) == first


def test_queue_ids_are_never_given_twice(server):
    """Also after the inodes have come round, and the id of the case is left out."""
    ids = [server.new_id() for _ in range(200_000)]

    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9A-F]{11}", queue_id) for queue_id in ids[::1000])
    assert STORY_ID not in ids


def test_the_first_64_kib_of_each_file_tell_the_year(any_demo):
    """A message-id made by cleanup carries the line's own queue id and its time in UTC."""
    for name in FILES:
        head = any_demo.plain[name][: 64 << 10].splitlines(keepends=True)[:-1]
        found = 0
        for line in (parse_line(name, text) for text in head):
            mail = _MAIL.match(line.text)
            if mail and (made := _OWN_ID.match(mail[2])):
                assert made[2] == mail[1]
                assert re.sub(r"\D", "", line.time) == made[1]
                found += 1
        assert found >= 3, name


def test_odd_lines_are_there(any_demo):
    """Repetitions behind what they repeat, marks, lines without tag or stamp, bad UTF-8."""
    processes = Counter(line.process for line in any_demo.lines)
    assert processes["(last message repeated)"] >= 80
    assert processes["(mark)"] > 30
    assert processes["(no tag)"] > 30
    assert processes[""] > 10
    assert {"kernel", "crond", "dovecot", "sshd", "sshd(pam_unix)", "postfix/cleanup",
            "postfix/local", "postfix/bounce", "postfix/pickup"} <= set(processes)  # fmt: skip
    before = ""
    for line in any_demo.lines:
        if line.process == "(last message repeated)":
            assert before in {"postfix/smtpd", "kernel"}
        before = line.process
    for name in FILES:
        with pytest.raises(UnicodeDecodeError):
            any_demo.plain[name].decode("utf-8")


# ---- files ----------------------------------------------------------------------------------


def test_times_of_files_are_as_logrotate_leaves_them(any_demo):
    """A rotated file keeps its last write, the rotation, in its mtime and in the gzip header."""
    mtimes = [datetime.fromtimestamp((any_demo.folder / n).stat().st_mtime, UTC) for n in FILES]
    lasts = {line.file: line.time for line in any_demo.lines if line.time}
    firsts = {line.file: line.time for line in reversed(any_demo.lines) if line.time}

    written = [f"{mtime:%Y-%m-%d %H:%M:%S}" for mtime in mtimes]
    assert written == [*(firsts[name] for name in FILES[1:]), lasts["maillog"]]
    header = (any_demo.folder / "maillog.2.gz").read_bytes()[:10]
    assert int.from_bytes(header[4:8], "little") == mtimes[2].timestamp()
    assert header[3] == 0, "gzip reads standard input when logrotate calls it: no name"


@cache
def read_tree(folder: Path) -> dict[str, tuple[bytes, float]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime * (
            path.parent == folder and path.name != ".sawlog-demo"))
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_the_same_arguments_give_the_same_bytes(demo, tmp_path):
    """Of every file, compressed ones and truth included, and the same mtimes of the logs."""
    make_demo(tmp_path, 1)

    assert read_tree(tmp_path) == read_tree(demo.folder)
    assert sorted(read_tree(tmp_path)) == sorted(
        [".sawlog-demo", *FILES, *(f"truth/{name}" for name in (
            "README.txt", "deliveries.csv", "files.csv", "rejects.csv", "retries.csv",
            "story.json", "stuck.csv", "volume.csv"))]
    )  # fmt: skip


def test_the_summary_says_what_was_made(tmp_path):
    """Newest file first, as a listing by rotation goes."""
    summary = make_demo(tmp_path / "a" / "b", 1)

    assert [path.name for path in summary.paths] == FILES[::-1]
    assert all(path.is_file() for path in summary.paths)
    assert summary.truth == tmp_path / "a" / "b" / "truth"
    story = json.loads((summary.truth / "story.json").read_text(encoding="utf-8"))
    assert (summary.lines, summary.plain_bytes) == (story["lines"], story["plain_bytes"])
    assert 0 < summary.seconds < 60


def test_an_earlier_demo_is_replaced_and_other_files_beside_it_stay(demo, tmp_path):
    """Also when it is of another size, or a run was killed half-way."""
    make_demo(tmp_path, 2)
    (tmp_path / "result.csv").write_text("mine", encoding="ascii")
    (tmp_path / "truth" / "old.csv").write_text("of another version", encoding="ascii")
    (tmp_path / ".sawlog-demo.part").mkdir()
    (tmp_path / ".sawlog-demo.part" / "maillog.4.xz").write_bytes(b"half")

    make_demo(tmp_path, 1)

    tree = read_tree(tmp_path)
    assert tree.pop("result.csv")[0] == b"mine"
    assert tree == read_tree(demo.folder)


@pytest.mark.parametrize("size_mb", [0, -3])
def test_a_size_below_one_is_refused(tmp_path, size_mb):
    """And nothing is made."""
    with pytest.raises(UsageError, match="at least 1 MB"):
        make_demo(tmp_path / "new", size_mb)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_other_files_is_refused(tmp_path):
    """Nobody's maillog is overwritten."""
    (tmp_path / "maillog").write_text("real", encoding="ascii")

    with pytest.raises(UsageError, match="other files"):
        make_demo(tmp_path, 1)
    with pytest.raises(UsageError, match="not a folder"):
        make_demo(tmp_path / "maillog", 1)
    assert [path.read_text(encoding="ascii") for path in tmp_path.iterdir()] == ["real"]


def fail_to_write(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("place", ["write_truth", "_move_in"])
def test_a_demo_appears_whole_or_not_at_all(tmp_path, monkeypatch, place):
    """A full disk leaves neither files nor a new folder, and an empty one empty."""
    monkeypatch.setattr(pipeline.demo, place, fail_to_write)
    (tmp_path / "empty").mkdir()

    for name in ("new", "empty"):
        with pytest.raises(OutputError, match="No space left"):
            make_demo(tmp_path / name, 1)

    assert list(tmp_path.rglob("*")) == [tmp_path / "empty"]


def test_a_failure_keeps_the_earlier_demo(demo, tmp_path, monkeypatch):
    """It stays as it was."""
    make_demo(tmp_path, 1)
    monkeypatch.setattr(pipeline.demo.files.os, "utime", fail_to_write)

    with pytest.raises(OutputError, match="No space left"):
        make_demo(tmp_path, 2)

    assert read_tree(tmp_path) == read_tree(demo.folder)
