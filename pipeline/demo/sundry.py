"""What else stands in a mail server's log: logins, cron, the kernel, and lines of odd forms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.demo.log import (
    ANVIL,
    CROND,
    DOVECOT,
    KERNEL,
    LOGROTATE,
    MARK,
    NO_TAG,
    NTPD,
    REPEATED,
    SCACHE,
    SMTPD,
    SPAMD,
    SSHD,
    SSHD_PAM,
)  # fmt: skip
from pipeline.demo.mail import pick_spammer, pick_user, send_cron_mail
from pipeline.demo.names import DOMAIN
from pipeline.demo.timeline import DAY, HOUR, STAMP_DAYS

if TYPE_CHECKING:
    from pipeline.demo.server import Server

_JOBS = ("/usr/lib/sa/sa1 1 1", "/usr/local/bin/check_queue", "run-parts /etc/cron.hourly")
_NO_TAG_LINES = (
    "Out of Memory: Killed process 14211 (spamd).",
    "device eth0 entered promiscuous mode",
    "audit printk limit exceeded, 14 lines dropped",
)


def read_mail(server: Server, t: int) -> None:
    """Log an IMAP or POP3 session of dovecot."""
    user = pick_user(server)
    n = server.bits(7)
    put = server.log.put
    protocol = "imap" if n % 4 else "pop3"
    put(
        t,
        DOVECOT,
        f"dovecot: {protocol}-login: Login: user=<{user}>, method=PLAIN, "
        f"rip=10.1.{n % 7}.{n + 11}, lip=10.1.0.2{', TLS' if n % 3 else ''}",
    )
    t += 1 + server.bits(9)
    if protocol == "imap":
        end = f"Logged out bytes={server.bits(12)}/{server.bits(16)}"
    else:
        size = server.bits(20)
        end = f"Logged out top=0/0, retr={n % 5}/{server.bits(14)}, del={n % 5}/{n}, size={size}"
    put(t, DOVECOT, f"dovecot: {protocol.upper()}({user}): Disconnected: {end}")


def run_cron(server: Server, t: int) -> None:
    """Log one job of cron."""
    job = _JOBS[int(server.random() * len(_JOBS))]
    server.log.put(t, CROND, f"crond[{server.new_pid()}]: (root) CMD ({job})")


def log_sundry(server: Server, t: int) -> None:
    """Log something that is not mail, or mail's statistics."""
    n = server.bits(3)
    put = server.log.put
    client = pick_spammer(server)
    if n < 3:
        put(
            t,
            KERNEL,
            f"kernel: Firewall: IN=eth0 OUT= SRC={client.ip} DST=192.0.2.2 LEN=48 TOS=0x00 "
            f"PREC=0x00 TTL={40 + server.bits(6)} ID={server.bits(16)} DF PROTO=TCP "
            f"SPT={1024 + server.bits(15)} DPT=445 WINDOW=65535 RES=0x00 SYN URGP=0",
        )
    elif n < 5:
        pid = server.new_pid()
        user = ("root", "admin", "test", "oracle")[server.bits(2)]
        put(
            t,
            SSHD_PAM,
            f"sshd(pam_unix)[{pid}]: authentication failure; logname= uid=0 euid=0 tty=ssh "
            f"ruser= rhost={client.ip}  user={user}",
        )
        put(
            t + 2,
            SSHD,
            f"sshd[{pid}]: Failed password for {user} from {client.ip} "
            f"port {1024 + server.bits(15)} ssh2",
        )
    elif n == 5:
        day, second = divmod(t, DAY)
        at = f"{STAMP_DAYS[day]} {second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}"
        rate = f"{2 + server.bits(2)}/60s"
        put(
            t + 60,
            ANVIL,
            f"postfix/anvil[{server.worker()}]: statistics: max connection rate {rate} "
            f"for (smtp:{client.ip}) at {at}",
        )
    elif n == 6:
        put(
            t,
            SPAMD,
            f"spamd[{server.worker()}]: spamd: identified spam ({5 + server.bits(7) / 10:.1f}/5.0) "
            f"for {pick_user(server)}:500 in {server.random() * 4:.1f} seconds, "
            f"{server.bits(14)} bytes.",
        )
    else:
        put(
            t,
            SCACHE,
            f"postfix/scache[{server.worker()}]: statistics: domain lookup hits={server.bits(3)} "
            f"miss={1 + server.bits(4)} success={server.bits(5)}%",
        )


def log_rotation(server: Server, t: int) -> None:
    """Log what stands first in each file: the restarted logger, and the mails of cron.daily.

    The message-ids of those mails tell the year from the first lines of a file on.
    """
    put = server.log.put
    put(t, NO_TAG, "syslogd 1.4.1: restart.")
    put(
        t,
        LOGROTATE,
        f"logrotate: {'ALERT exited abnormally with [1]' if t % 2 else 'rotated 1 log'}",
    )
    for n in range(1, 4):
        send_cron_mail(server, t + n)


def log_odd_lines(server: Server, start: int) -> None:
    """Log a day's lines of rare forms, all after ``start``, at hours that fit them."""
    put = server.log.put
    day = start // DAY
    base = day * DAY

    def at(hour: int) -> int:
        return base + hour * HOUR + int(server.random() * HOUR)

    # The logger compares neighbours only, so a line and its repetition always stand together.
    t, client, pid = at(5), pick_spammer(server), server.new_pid()
    put(
        t,
        SMTPD,
        f"postfix/smtpd[{pid}]: warning: {client.ip}: hostname "
        f"{client.ip.replace('.', '-')}.pool.example verification failed: "
        "Name or service not known",
    )
    put(t, REPEATED, f"last message repeated {2 + server.bits(2)} times")
    t = at(13)
    put(t, KERNEL, "kernel: martian source 192.0.2.2 from 10.0.0.1, on dev eth0")
    put(t, REPEATED, f"last message repeated {1 + server.bits(3)} times")
    put(at(6), MARK, "-- MARK --")
    put(at(22), MARK, "-- MARK --")
    put(at(9), NTPD, f"ntpd[2533]: synchronized to 192.0.2.{10 + day}, stratum 2")
    put(at(11), NO_TAG, _NO_TAG_LINES[day % len(_NO_TAG_LINES)])
    # Latin-1 in the middle of everything: not UTF-8.
    name = ("m\xfcller", "s\xf8ren", "caf\xe9")[day % 3]
    put(
        at(14),
        DOVECOT,
        f"dovecot: imap-login: Aborted login: user=<{name}>, method=PLAIN, rip=10.1.3.9, "
        "lip=10.1.0.2",
    )
    client, pid, t = pick_spammer(server), server.new_pid(), at(16)
    put(
        t,
        SMTPD,
        f"postfix/smtpd[{pid}]: warning: Illegal address syntax from {client.name} in MAIL "
        f"command: <{name}@\xe4\xf6.example>",
    )
    t = at(18)
    put(
        t,
        SMTPD,
        f"postfix/smtpd[{pid}]: warning: {client.name}: SASL LOGIN authentication failed: "
        "authentication failure",
    )
    put(t, REPEATED, f"last message repeated {1 + server.bits(2)} times")
    if day % 2:
        put(at(15), KERNEL, "kernel: Call Trace:")
        t = at(20)
        put(t, SPAMD, f"spamd[2650]: rules: failed to run a test for user@{DOMAIN}, skipping:")
        server.log.put_undated(
            t, '\t(Can\'t locate object method "new" via package "Mail" at line 41)'
        )
    if day % 5 == 3:
        t = at(7)
        put(t, LOGROTATE, "logrotate: stat of /var/log/old failed: No such file or directory")
        server.log.put_undated(t, "")
