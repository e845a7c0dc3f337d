"""The usual mail of the demo: each function writes the whole life of one session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.demo.log import LISTMGR, LOCAL, PICKUP, SMTP, SMTPD
from pipeline.demo.names import DOMAIN, LIST_ADDRESS
from pipeline.demo.server import PICKUP_PID

if TYPE_CHECKING:
    from pipeline.demo.names import Address, Client
    from pipeline.demo.server import Server

_BLOCKED = "554 5.7.1 Service unavailable; Client host"
_USER_UNKNOWN = "Recipient address rejected: User unknown in local recipient table"
# Reply, the same without its variable parts, and how often.
_REPLIES = (
    (
        _BLOCKED + " [{ip}] blocked using zen.dnsbl.example; http://www.dnsbl.example/q?ip={ip}",
        "Service unavailable; Client host blocked using zen.dnsbl.example",
        8,
    ),
    ("550 5.1.1 <{to}>: " + _USER_UNKNOWN, _USER_UNKNOWN, 6),
    ("554 5.7.1 <{to}>: Relay access denied", "Relay access denied", 2),
    (
        "450 4.1.8 <{sender}>: Sender address rejected: Domain not found",
        "Sender address rejected: Domain not found",
        2,
    ),
    (
        "450 4.7.1 <{helo}>: Helo command rejected: Host not found",
        "Helo command rejected: Host not found",
        3,
    ),
    (
        "450 4.2.0 <{to}>: Recipient address rejected: Greylisted",
        "Recipient address rejected: Greylisted",
        2,
    ),
)
_REPLY_DECK = [(reply, reason) for reply, reason, n in _REPLIES for _ in range(n)]

_GREYLISTED = "450 4.2.0 <{to}>: Recipient address rejected: Greylisted, try again later"
_NO_SUCH_USER = "550 5.1.1 <{to}>: Recipient address rejected: User unknown"


def pick_user(server: Server) -> str:
    """Return the login of a user here."""
    users = server.names.users
    return users[int(server.random() ** 1.6 * len(users))]


def pick_person(server: Server) -> Address:
    """Return somebody outside."""
    people = server.names.people
    return people[int(server.random() ** 2 * len(people))]


def pick_spammer(server: Server) -> Client:
    """Return a client that sends spam."""
    spammers = server.names.spammers
    return spammers[int(server.random() ** 1.8 * len(spammers))]


def said(relay: str, reply: str) -> str:
    """Return how Postfix quotes a relay's refusal of a recipient."""
    return f"host {relay.removesuffix(':25')} said: {reply} (in reply to RCPT TO command)"


def send_rejected(server: Server, t: int) -> None:
    """Log a client whose recipients are all refused."""
    random = server.random
    client = pick_spammer(server)
    pid = server.connect(t, client)
    sender = server.names.forge() if random() < 0.5 else pick_person(server).name
    for _ in range(1 + (random() < 0.35)):
        reply, reason = _REPLY_DECK[int(random() * len(_REPLY_DECK))]
        to = f"{pick_user(server)}@{DOMAIN}"
        if "User unknown" in reply:
            to = f"{server.bits(20):x}@{DOMAIN}"
        elif "Relay" in reply:
            to = pick_person(server).name
        t += random() < 0.6
        text = reply.format(ip=client.ip, to=to, sender=sender, helo=client.helo)
        envelope = f"from=<{sender}> to=<{to}> proto=ESMTP helo=<{client.helo}>"
        server.log.reject(t, pid, client.name, text, reason, envelope)
    if random() < 0.3:
        server.log.put(
            t, SMTPD, f"postfix/smtpd[{pid}]: lost connection after RCPT from {client.name}"
        )
    server.disconnect(t + (random() < 0.7), pid, client)


def receive(
    server: Server, t: int, client: Client, sender: str, n_recipients: int = 1, extra: str = ""
) -> str:
    """Log a session that brings one message, up to its queue; return the queue id.

    ``extra`` is put between connect and ``client=``, from the same smtpd.
    """
    pid = server.connect(t, client)
    queue_id = server.new_id()
    if extra:
        server.log.put(t, SMTPD, f"postfix/smtpd[{pid}]: {extra}")
    server.log.put(t, SMTPD, f"postfix/smtpd[{pid}]: {queue_id}: client={client.name}")
    message_id = server.some_message_id(sender.rpartition("@")[2] or client.helo)
    server.queue(t + 1, queue_id, message_id, sender, n_recipients)
    server.disconnect(t + 1, pid, client)
    return queue_id


def receive_mail(server: Server, t: int) -> None:
    """Log mail from outside for one to three users."""
    random = server.random
    servers = server.names.servers
    client = servers[int(random() ** 2 * len(servers))]
    sender = (
        pick_person(server).name if random() < 0.9 else f"bounce-{server.bits(16)}@{client.helo}"
    )
    users = {pick_user(server): None for _ in range(1 if random() < 0.85 else 3)}
    queue_id = receive(server, t, client, sender, len(users))
    for user in users:
        server.deliver_here(t + 1, queue_id, f"{user}@{DOMAIN}")
    server.remove(t + 1, queue_id)


def submit(server: Server, t: int, n_recipients: int) -> tuple[str, str, int]:
    """Log a user who hands in a message; return its queue id, sender and size."""
    desks = server.names.desks
    user = pick_user(server)
    client = desks[server.names.users.index(user) % len(desks)]
    pid = server.connect(t, client)
    head = f"postfix/smtpd[{pid}]: "
    put = server.log.put
    put(t, SMTPD, f"{head}setting up TLS connection from {client.name}")
    put(
        t,
        SMTPD,
        f"{head}TLS connection established from {client.name}: "
        "TLSv1 with cipher DHE-RSA-AES256-SHA (256/256 bits)",
    )
    queue_id = server.new_id()
    put(
        t,
        SMTPD,
        f"{head}{queue_id}: client={client.name}, sasl_method=PLAIN, sasl_username={user}",
    )
    sender = f"{user}@{DOMAIN}"
    size = server.queue(t, queue_id, server.some_message_id(client.helo), sender, n_recipients)
    server.disconnect(t + 1, pid, client)
    return queue_id, sender, size


def deliver_away(server: Server, t: int, queue_id: str, to: Address) -> None:
    """Log a delivery to a relay outside."""
    server.log.deliver(
        t, SMTP, server.worker(), queue_id, to.name, to.relay, server.delays(), "2.0.0", "sent",
        f"250 2.0.0 Ok: queued as {server.bits(40):010X}",
    )  # fmt: skip


def send_mail(server: Server, t: int) -> None:
    """Log a user's mail to one or two people outside."""
    n_recipients = 1 + (server.random() < 0.2)
    queue_id, _, _ = submit(server, t, n_recipients)
    t += 1 + (server.random() < 0.4)
    for _ in range(n_recipients):
        deliver_away(server, t, queue_id, pick_person(server))
    server.remove(t, queue_id)


def send_greylisted(server: Server, t: int) -> None:
    """Log a user's mail that is taken at the second attempt only."""
    queue_id, sender, size = submit(server, t, 1)
    to = pick_person(server)
    server.log.deliver(
        t + 1, SMTP, server.worker(), queue_id, to.name, to.relay, server.delays(), "4.2.0",
        "deferred", said(to.relay, _GREYLISTED.format(to=to.name)),
    )  # fmt: skip
    t += 1000 + server.bits(9)
    server.activate(t, queue_id, sender, size, 1)
    deliver_away(server, t + 1, queue_id, to)
    server.remove(t + 1, queue_id)


def send_bounced(server: Server, t: int) -> None:
    """Log a user's mail to somebody who does not exist, and the bounce to the user."""
    queue_id, sender, _ = submit(server, t, 1)
    to = pick_person(server)
    server.log.deliver(
        t + 1, SMTP, server.worker(), queue_id, to.name, to.relay, server.delays(), "5.1.1",
        "bounced", said(to.relay, _NO_SUCH_USER.format(to=to.name)),
    )  # fmt: skip
    server.notify(t + 1, queue_id, sender)
    server.remove(t + 1, queue_id)


def hand_to_list(server: Server, t: int, queue_id: str) -> None:
    """Log that the list manager takes a message for the list."""
    server.log.deliver(
        t, LOCAL, server.worker(), queue_id, LIST_ADDRESS, "local", server.delays(), "2.0.0",
        "sent", "delivered to command: /usr/lib/listmgr/post maint",
    )  # fmt: skip
    server.remove(t, queue_id)


def post_to_list(server: Server, t: int) -> None:
    """Log a member's mail to the list, and the copies to all members."""
    servers = server.names.servers
    author = server.names.people[int(server.random() * 40)]
    client = servers[int(server.random() * 40)]
    hand_to_list(server, t + 1, receive(server, t, client, author.name))
    t += 2
    put = server.log.put
    put(t, LISTMGR, f"listmgr[{server.worker()}]: {LIST_ADDRESS}: post from {author.name} accepted")
    queue_id = server.new_id()
    owner = LIST_ADDRESS.replace("@", "-owner@")
    put(t, PICKUP, f"postfix/pickup[{PICKUP_PID}]: {queue_id}: uid=41 from=<{owner}>")
    server.queue(t, queue_id, server.some_message_id(author.name.rpartition("@")[2]), owner, 8)
    for n in range(8):
        deliver_away(server, t + 1 + n // 4, queue_id, server.names.people[n * 5])
    server.remove(t + 2, queue_id)


def reject_post(server: Server, t: int, sender: str, queue_id: str) -> int:
    """Log that the list refuses a post and writes its author a rejection mail with this id.

    Returns
    -------
    int
        Size of the rejection mail in bytes.
    """
    put = server.log.put
    put(
        t,
        LISTMGR,
        f"listmgr[{server.worker()}]: {LIST_ADDRESS}: post from {sender} refused: "
        "only members may post (policy reject), author notified",
    )
    put(t, PICKUP, f"postfix/pickup[{PICKUP_PID}]: {queue_id}: uid=41 from=<>")
    return server.queue(t, queue_id, server.own_message_id(t, queue_id), "", 1)


def post_spam(server: Server, t: int, sender: str) -> tuple[str, Client]:
    """Log spam with a forged sender for the list, until the list manager has it.

    The list takes mail from everybody, so a blocked client only earns a ``reject_warning``: it is
    the line of smtpd that shows the forged sender. Lasts a second.
    """
    client = pick_spammer(server)
    warning = (
        f"NOQUEUE: reject_warning: RCPT from {client.name}: 554 5.7.1 Service unavailable; Client "
        f"host [{client.ip}] blocked using zen.dnsbl.example; from=<{sender}> to=<{LIST_ADDRESS}> "
        f"proto=SMTP helo=<{client.helo}>"
    )
    queue_id = receive(server, t, client, sender, extra=warning)
    hand_to_list(server, t + 1, queue_id)
    return queue_id, client


def post_refused(server: Server, t: int) -> None:
    """Log spam for the list whose rejection mail is refused at once and forgotten."""
    sender = pick_person(server)
    post_spam(server, t, sender.name)
    queue_id = server.new_id()
    reject_post(server, t + 2, sender.name, queue_id)
    server.log.deliver(
        t + 3, SMTP, server.worker(), queue_id, sender.name, sender.relay, server.delays(),
        "5.1.1", "bounced", said(sender.relay, _NO_SUCH_USER.format(to=sender.name)),
    )  # fmt: skip
    # A bounce of a bounce goes nowhere.
    server.remove(t + 3, queue_id)


def send_cron_mail(server: Server, t: int) -> None:
    """Log what a cron job prints, mailed to root."""
    queue_id = server.new_id()
    server.log.put(t, PICKUP, f"postfix/pickup[{PICKUP_PID}]: {queue_id}: uid=0 from=<root>")
    server.queue(t, queue_id, server.own_message_id(t, queue_id), f"root@{DOMAIN}", 1)
    server.deliver_here(t, queue_id, f"postmaster@{DOMAIN}>, orig_to=<root")
    server.remove(t, queue_id)
