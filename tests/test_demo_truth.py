"""An independent, slow reader finds in the demo archive what its truth and the case say."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from statistics import median

import pytest

import pipeline.demo
from pipeline.demo import DEFAULT_SIZE_MB
from tests.support.demo_read import FILES, MAIL, STORY_ID, Demo

COMPRESSIONS = ["xz", "zstd", "gzip", "plain", "plain"]
STORY_DAYS = {
    "2007-12-25": 14, "2007-12-26": 261, "2007-12-27": 461, "2007-12-28": 287,
    "2007-12-29": 345, "2007-12-30": 102, "2007-12-31": 0,
}  # fmt: skip
_DELIVERY = re.compile(r"to=<([^>]*)>.*?, relay=([^,]+), .*?, status=(\w+) \((.*)\)$")
_REJECT = re.compile(r"NOQUEUE: reject: RCPT from (\S+): \d{3} \d\.\d\.\d (.*?); from=<")


def find_deliveries(demo: Demo):
    for line in demo.lines:
        mail = MAIL.match(line.text)
        if mail and (delivery := _DELIVERY.match(mail[2])):
            yield line, mail[1], *delivery.groups()


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
        if mail := MAIL.match(line.text):
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
