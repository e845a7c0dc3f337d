"""A log of people whom no output with ``--pseudonymise`` may tell of."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Words that stand nowhere else in outputs.
PEOPLE: dict[str, list[str]] = {
    "logins": ["alice", "bob", "carol", "dave", "erika", "o'neill", "frieda", "gustav"],
    "addresses": ["alice@corp.example", "Bob@Corp.example", "o'neill@corp.example"],
    "ips": ["192.0.2.77", "198.51.100.23", "2001:db8:0:1::dead", "203.0.113.9"],
    "hosts": ["dsl-77.provider.example", "mx.partner.example", "laptop-of-carol", "relay.partner.example"],
    "domains": ["corp.example", "partner.example"],
}  # fmt: skip

_LINES = r"""
postfix/smtpd[1]: connect from dsl-77.provider.example[192.0.2.77]
postfix/smtpd[1]: 4A1B2C3D: client=dsl-77.provider.example[192.0.2.77], sasl_method=PLAIN, sasl_username=alice
postfix/cleanup[2]: 4A1B2C3D: message-id=<20240301.carol@laptop-of-carol>
postfix/qmgr[3]: 4A1B2C3D: from=<alice@corp.example>, size=1200, nrcpt=3 (queue active)
postfix/smtp[4]: 4A1B2C3D: to=<Bob@Corp.example>, orig_to=<bob>, relay=mx.partner.example[198.51.100.23]:25, delay=1.5, delays=0.1/0/1/0.4, dsn=4.4.1, status=deferred (host mx.partner.example[198.51.100.23] said: 450 4.2.0 <Bob@Corp.example>: Recipient address rejected: Greylisted (in reply to RCPT TO command))
postfix/smtp[4]: 4A1B2C3D: to=<bob@corp.example>, relay=mx.partner.example[2001:db8:0:1::dead]:25, delay=9, delays=0.1/0/1/0.4, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 9F8E7D6C5B)
postfix/smtp[4]: 4A1B2C3D: to=<o'neill@corp.example>, relay=none, delay=1, delays=0.1/0/1/0, dsn=4.4.3, status=deferred (Host or domain name not found. Name service error for name=relay.partner.example type=MX: Host not found, try again)
postfix/local[5]: 4A1B2C3D: to=<erika@corp.example>, orig_to=<erika+lists@corp.example>, relay=local, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (unknown user: "erika")
postfix/bounce[6]: 4A1B2C3D: sender non-delivery notification: 5B2C3D4E
postfix/qmgr[3]: 5B2C3D4E: from=<>, size=3200, nrcpt=1 (queue active)
postfix/smtp[4]: 5B2C3D4E: to=<alice@corp.example>, relay=mx.partner.example[198.51.100.23]:25, delay=1, delays=0/0/1/0, dsn=2.0.0, status=sent (250 ok <ALICE@corp.example>)
postfix/qmgr[3]: 5B2C3D4E: removed
postfix/qmgr[3]: 4A1B2C3D: removed
postfix/smtpd[1]: disconnect from dsl-77.provider.example[192.0.2.77] ehlo=1 auth=1 mail=1 rcpt=3 data=1 quit=1 commands=8
postfix/pickup[7]: 6C3D4E5F: uid=1000 from=<dave>
postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 550 5.1.1 <carol@corp.example>: Recipient address rejected: User unknown in local recipient table; from=<frieda@partner.example> to=<carol@corp.example> proto=ESMTP helo=<laptop-of-carol>
postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 550 5.7.1 <frieda@partner.example>: Sender address rejected: Please see http://www.openspf.org/Why?s=mfrom;id=frieda%40partner.example;ip=203.0.113.9;r=mx; from=<frieda@partner.example> to=<bob@corp.example> proto=ESMTP helo=<[203.0.113.9]>
postfix/smtpd[1]: NOQUEUE: reject: RCPT from unknown[203.0.113.9]: 554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using zen.spamhaus.org; from=<frieda@partner.example> to=<bob@corp.example> proto=ESMTP helo=<gustav pc>
postfix/smtpd[1]: warning: dsl-77.provider.example[192.0.2.77]: SASL LOGIN authentication failed: authentication failure, sasl_username=gustav@corp.example
postfix/smtpd[1]: warning: hostname dsl-77.provider.example does not resolve to address 192.0.2.77: Name or service not known
postfix/smtpd[1]: lost connection after AUTH from dsl-77.provider.example[192.0.2.77]
postfix/cleanup[2]: 4A1B2C3D: warning: header Subject: Salary of Erika and Gustav from dsl-77.provider.example[192.0.2.77]; from=<alice@corp.example> to=<bob@corp.example> proto=ESMTP helo=<laptop-of-carol>
postfix/cleanup[2]: 4A1B2C3D: warning: body Dear Frieda, call Dave from dsl-77.provider.example[192.0.2.77]; from=<alice@corp.example> to=<bob@corp.example> proto=ESMTP helo=<laptop-of-carol>
postfix/postscreen[8]: CONNECT from [203.0.113.9]:4711 to [198.51.100.23]:25
postfix/dnsblog[9]: addr 203.0.113.9 listed by domain zen.spamhaus.org as 127.0.0.4
postfix/smtp[4]: connect to relay.partner.example[2001:db8:0:1::dead]:25: Connection timed out
dovecot: imap-login: Login: user=<alice>, method=PLAIN, rip=192.0.2.77, lip=198.51.100.23, mpid=7, session=<AbCdEf>
dovecot: imap(alice): Disconnected: Logged out in=1 out=2
dovecot: lda(bob@corp.example): msgid=<x@laptop-of-carol>: saved mail to INBOX
dovecot: auth-worker(7): pam(gustav,192.0.2.77): unknown user
sshd[10]: Failed password for invalid user carol from 192.0.2.77 port 4 ssh2
sshd[10]: Accepted publickey for dave from 2001:db8:0:1::dead port 4 ssh2
sshd[10]: pam_unix(sshd:session): session opened for user dave by (uid=0)
su[11]: pam_unix(su:auth): authentication failure; logname=dave uid=1 euid=0 tty=pts/0 ruser=dave rhost=dsl-77.provider.example  user=erika
sudo:    dave : TTY=pts/0 ; PWD=/home/dave ; USER=erika ; COMMAND=/bin/ls /var/mail/bob
CRON[12]: (dave) CMD (/home/dave/bin/job)
amavis[13]: (1-2) Passed CLEAN {RelayedInbound}, [203.0.113.9]:47 [203.0.113.9] <frieda@partner.example> -> <bob@corp.example>, Message-ID: <20240301.carol@laptop-of-carol>, mail_id: x
alice@corp.example[14]: who logs under this name
"""


def write_log(path: Path) -> None:
    """Write the log."""
    lines = [line for line in _LINES.splitlines() if line]
    text = "".join(
        f"Mar  1 10:{k // 60:02}:{k % 60:02} mx {line}\n" for k, line in enumerate(lines)
    )
    text += "continued: written by alice@corp.example at 192.0.2.77\n"
    text += "Mar  1 11:00:00 192.0.2.77 kernel: a host without a name\n"
    path.write_text(text)
