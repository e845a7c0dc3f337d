"""Lines in envelopes: put in as their authors would, and taken out."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime

from pipeline.model import Block
from pipeline.peel import Peeler
from pipeline.read import Unowned
from pipeline.scan import LineScanner
from pipeline.yearless import year_table
from tests.support.oracle import parse

NOW = datetime(2008, 6, 1)
YEARS = year_table(NOW)
TIME = "2007-12-09T04:02:11.123456789Z"
TIME_US = 1197172931123456


def peel_texts(envelope, texts):
    """Return the inner text, what each line takes in the file, and the peeler."""
    peeler = Peeler(envelope, YEARS)
    blocks, offset = [], 0
    for text in texts:
        blocks.append(Block(bytearray(text), len(text), offset))
        offset += len(text)
    out, sizes, offsets = b"", [], []
    for block in peeler.peel(iter(blocks), Unowned()):
        piece = bytes(block.buffer[: block.stop])
        out += piece
        n = piece.count(b"\n")
        sizes += block.outer.bytes[:n]
        offsets += block.outer.offset[:n]
    return out, sizes, offsets, peeler


def count_lines(out, peeler):
    """Return the counts that a run would give."""
    scanner = LineScanner(frozenset())
    scanner.begin_file("x", YEARS)
    list(scanner.scan(Block(bytearray(out), len(out), 0)))
    counts = scanner.counts()
    peeler.correct(counts)
    return counts


def wrap(name, line):
    """Put a line of an archive into an envelope, as its author would."""
    text = line.decode("latin-1")
    row = parse(line, 2007)
    if name == "docker":
        return json.dumps({"log": text + "\n", "stream": "stdout", "time": TIME}).encode() + b"\n"
    if name == "docker in parts":
        parts = [text[:40], text[40:] + "\n"]
        records = [{"log": part, "stream": "stdout", "time": TIME} for part in parts]
        return b"".join(json.dumps(record).encode() + b"\n" for record in records)
    if name == "cri":
        return f"{TIME} stdout P {text[:30]}\n{TIME} stdout F {text[30:]}\n".encode("latin-1")
    if name == "cloudwatch":
        return f"{TIME[:23]}Z {text}\n".encode("latin-1")
    if name == "octet-counting":
        return b"%d <22>%s" % (len(line) + 4, line)
    us = int(row.time.replace(tzinfo=UTC).timestamp()) * 1_000_000
    fields = {
        "__CURSOR": "s=1",
        "__REALTIME_TIMESTAMP": str(us),
        "PRIORITY": "6",
        "SYSLOG_FACILITY": "2",
        "_HOSTNAME": row.host.decode(),
    }
    if not row.process.startswith(b"("):  # "(no tag)" and "(mark)" are no names
        fields["SYSLOG_IDENTIFIER"] = row.process.decode()
    if row.pid is not None:
        fields["SYSLOG_PID"] = str(row.pid)
    message = row.message.decode("latin-1")
    if name == "journal-json":
        data = list(row.message) if us % 3_000_000 == 0 else message
        return json.dumps({**fields, "MESSAGE": data}).encode() + b"\n"
    if name == "journal-export":
        told = "".join(f"{key}={value}\n" for key, value in fields.items()).encode()
        if us % 3_000_000 == 0:
            return told + b"MESSAGE\n" + struct.pack("<Q", len(row.message)) + row.message + b"\n\n"
        return told + b"MESSAGE=" + row.message + b"\n\n"
    record = {
        "fluent-bit": {"date": 1197172931.5, "log": text},
        "fluentd": {"tag": "mail", "time": TIME, "message": text},
        "vector": {"message": text, "source_type": "file", "timestamp": TIME, "host": "node"},
        "filebeat": {"@timestamp": TIME, "message": text, "host": {"name": "node"}},
        "cloudwatch-json": {"timestamp": TIME_US // 1000, "message": text, "eventId": "1"},
    }[name]
    return json.dumps(record).encode() + b"\n"
