"""What ``sawlog pflogsumm --help`` says."""

USAGE = """\
Usage: sawlog pflogsumm [OPTIONS] [FILE…]

Summarise Postfix logs in pflogsumm's layout, from pflogsumm's own arguments. FILE is what any
other command of sawlog takes: plain or compressed, rotated, in archives, at URLs; standard input
if there is none.

Which lines:
  -d DAY                       today, yesterday, 2007-12-26, 2007-12, this or last week, month,
                               year; or a range of two of these
  --dow0mon                    weeks begin on Monday
  --syslog-name NAME           only the instances postfix and NAME

Which sections, and how long (N rows; 0 none, negative all):
  -h N                         hosts and domains
  -u N                         senders and recipients
  --bounce-detail N  --deferral-detail N  --reject-detail N  --smtp-detail N
  --smtpd-warning-detail N  --pscrn-detail N
  --detail N                   all of these that are not given
  -e                           every message with its sender and recipients
  --smtpd-stats                connections of smtpd
  --pscrn-stats                events of postscreen
  --no-no-msg-size             no messages without size
  --mailq                      the mail queue at the end
  --problems-first             what went wrong before the traffic
  -q                           no headings of empty sections
  --zero-fill                  days without traffic, too

How it is written:
  -i, --ignore-case            addresses in lower case
  -m, --uucp-mung              addresses as paths turned
  --verp-mung[=2]              numbers in return addresses of lists as ID
  --srs-mung                   addresses that forwarders rewrote as they were
  --use-orig-to                recipients as they were before aliases
  --rej-add-from, --rej-add-to sender, recipient beside what was rejected
  --verbose-msg-detail         reasons in full
  --iso-date-time              2007-12-26 and 09:00
  --unprocd-file FILE          write lines of Postfix that were not understood there

  --help, --version

Names of options may be abbreviated. Options of sawlog, in full:
{own}"""
