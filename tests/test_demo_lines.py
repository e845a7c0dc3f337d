"""The lines of the demo archive are as a mail server writes them."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from random import Random

import pytest

from pipeline.demo.log import Log
from pipeline.demo.names import Names
from pipeline.demo.server import Server
from tests.support.demo_read import FILES, MAIL, STORY_ID, parse_line

_PID = re.compile(r"[^\s\[]+\[(\d+)\]: ")
_OWN_ID = re.compile(r"message-id=<(\d{14})\.([0-9A-F]+)@mx1\.example\.net>")


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
        if mail := MAIL.match(line.text):
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
    n_served = 0
    for line in any_demo.lines:
        if line.process != "postfix/smtpd":
            continue
        pid, text = _PID.match(line.text)[1], _PID.sub("", line.text, count=1)
        if text.startswith("connect from "):
            assert pid not in serving
            serving[pid] = text.removeprefix("connect from ")
        elif text.startswith("disconnect from "):
            assert text.removeprefix("disconnect from ") == serving.pop(pid)
            n_served += 1
        elif pid in serving:
            assert serving[pid] in text
        else:
            assert text.startswith("warning: ")
    assert n_served > 400


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
            mail = MAIL.match(line.text)
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
