-- How is the mail server doing: traffic, outcomes, refusals, senders, recipients, delays, troubles?
-- param: detail BIGINT = 1000000   rows of each detail at most

WITH counted AS (
    SELECT day, hour, host, process, event, status, link = 'forwarded' AS is_forwarded,
        code // 100 AS class, count(*) AS n
    FROM mail
    WHERE event NOT IN ('active', 'removed', 'message-id', 'disconnect', 'connect_error', 'tls')
    GROUP BY ALL
), outcomes AS (
    SELECT daemon, status, CASE WHEN status = 'bounced' THEN relay END AS relay, dsn,
        reason_class, reason_group, failed_host, count(*) AS n
    FROM mail
    WHERE status IN ('deferred', 'bounced') AND event = 'delivery'
    GROUP BY ALL
), refused AS (
    SELECT event, stage, code, dsn, reason_class, reason_group, client, count(*) AS n
    FROM mail
    WHERE event IN ('reject', 'reject_warning', 'milter-reject', 'proxy-reject', 'hold', 'milter-hold', 'discard', 'milter-discard')
    GROUP BY ALL
), noticed AS (
    SELECT daemon, event, failed_host, reason_group, count(*) AS n,
        min(time) AS first, max(time) AS last
    FROM mail
    WHERE event IN ('warning', 'error', 'fatal', 'panic', 'sasl_failed', 'connect_error')
    GROUP BY ALL
), unknown AS (
    SELECT daemon, left(regexp_replace(regexp_replace(message,
        '<[^>]*>', '<>', 'g'), '[0-9A-F]{6,}|[0-9]+', '#', 'g'), 100) AS shape, count(*) AS n
    FROM mail
    WHERE event = 'other'
    GROUP BY ALL
), timed AS (
    SELECT daemon, delay_us, count(*) AS n, sum(delay_a_us) AS a, sum(delay_b_us) AS b,
        sum(delay_c_us) AS c, sum(delay_d_us) AS d
    FROM mail
    WHERE event = 'delivery' AND status = 'sent'
    GROUP BY daemon, delay_us
), written AS (
    SELECT sender, client_ip, service, sasl_user, count(*) AS messages, sum(size) AS bytes,
        sum(recipients) AS recipients, sum(sent) AS sent, sum(bounced) AS bounced,
        sum(attempts) AS attempts, count(*) FILTER (WHERE deferrals > 0) AS deferred,
        count(*) FILTER (WHERE expired) AS expired, count(*) FILTER (WHERE NOT removed) AS waiting
    FROM messages
    GROUP BY ALL
), received AS (
    SELECT recipient, count(*) AS copies, sum(sent - forwarded) AS sent,
        sum(size * (sent - forwarded)) AS bytes, sum(deferrals) AS deferrals,
        count(*) FILTER (WHERE status = 'bounced') AS bounced,
        sum(delay_us) FILTER (WHERE status = 'sent') AS delay_us, max(delay_us) AS longest_us,
        count(*) FILTER (WHERE sent > 0 AND size IS NULL) AS without_size
    FROM deliveries
    GROUP BY recipient
), tried AS (
    SELECT host, queue_id, sender, attempts, first, last, expired, removed
    FROM messages
    WHERE deferrals > 1
    ORDER BY attempts DESC, host, queue_id
    LIMIT 50
), totals AS (
    SELECT
        sum(n) FILTER (WHERE event IN ('client', 'pickup')) AS received,
        sum(n) FILTER (WHERE status = 'sent' AND is_forwarded IS DISTINCT FROM true) AS delivered,
        sum(n) FILTER (WHERE is_forwarded) AS forwarded,
        sum(n) FILTER (WHERE status = 'deferred') AS deferrals,
        sum(n) FILTER (WHERE status = 'bounced') AS bounced,
        sum(n) FILTER (WHERE event = 'expired') AS expired,
        sum(n) FILTER (WHERE event = 'notification') AS notifications,
        sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject')) AS rejected,
        sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject') AND class = 4) AS rejected_4xx,
        sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject') AND class = 5) AS rejected_5xx,
        sum(n) FILTER (WHERE event = 'reject_warning') AS reject_warnings,
        sum(n) FILTER (WHERE event IN ('hold', 'milter-hold')) AS held,
        sum(n) FILTER (WHERE event IN ('discard', 'milter-discard')) AS discarded,
        sum(n) FILTER (WHERE event = 'connect') AS connections,
        sum(n) FILTER (WHERE event = 'other') AS not_understood
    FROM counted
), sums AS (
    SELECT sum(deferred) AS deferred, sum(bytes) AS bytes_received, sum(waiting) AS waiting,
        count(DISTINCT sender) AS senders,
        count(DISTINCT coalesce(nullif(lower(split_part(sender, '@', -1)), ''), client_ip)) AS sender_domains
    FROM written
), copies AS (
    SELECT sum(bytes) AS bytes_delivered, count(*) FILTER (WHERE sent > 0) AS recipients,
        count(DISTINCT lower(split_part(recipient, '@', -1))) FILTER (WHERE sent > 0) AS recipient_domains
    FROM received
)

-- section: totals   All in all
-- chart: none
SELECT what, coalesce(number, 0)::BIGINT AS number FROM (
    SELECT unnest([
        {'what': 'messages received', 'number': received}, {'what': 'copies delivered', 'number': delivered},
        {'what': 'copies forwarded', 'number': forwarded}, {'what': 'messages deferred', 'number': deferred},
        {'what': 'attempts deferred', 'number': deferrals}, {'what': 'copies bounced', 'number': bounced},
        {'what': 'messages expired', 'number': expired}, {'what': 'notifications sent', 'number': notifications},
        {'what': 'rejected', 'number': rejected}, {'what': 'rejected for now (4xx)', 'number': rejected_4xx},
        {'what': 'rejected for good (5xx)', 'number': rejected_5xx}, {'what': 'reject warnings', 'number': reject_warnings},
        {'what': 'held', 'number': held}, {'what': 'discarded', 'number': discarded},
        {'what': 'bytes received', 'number': bytes_received}, {'what': 'bytes delivered', 'number': bytes_delivered},
        {'what': 'senders', 'number': senders}, {'what': 'sending hosts and domains', 'number': sender_domains},
        {'what': 'recipients', 'number': recipients}, {'what': 'recipient domains', 'number': recipient_domains},
        {'what': 'connections', 'number': connections}, {'what': 'messages waiting at the end', 'number': waiting},
        {'what': 'lines not understood', 'number': not_understood}], recursive := true)
    FROM totals, sums, copies
)

-- section: days   Traffic per day
-- chart: x=day y=delivered mark=bar title='delivered per day'
-- chart: x=day y=deferred mark=bar title='attempts deferred per day'
-- chart: x=day y=rejected mark=bar title='rejected per day'
SELECT day,
    coalesce(sum(n) FILTER (WHERE event IN ('client', 'pickup')), 0)::BIGINT AS received,
    coalesce(sum(n) FILTER (WHERE status = 'sent' AND is_forwarded IS DISTINCT FROM true), 0)::BIGINT AS delivered,
    coalesce(sum(n) FILTER (WHERE status = 'deferred'), 0)::BIGINT AS deferred,
    coalesce(sum(n) FILTER (WHERE status = 'bounced'), 0)::BIGINT AS bounced,
    coalesce(sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject', 'reject_warning', 'hold', 'milter-hold', 'discard', 'milter-discard')), 0)::BIGINT AS rejected
FROM counted
WHERE day IS NOT NULL
GROUP BY day
ORDER BY day

-- section: hours   Traffic by hour of the day
-- chart: x=hour y=delivered mark=bar title='delivered by hour of the day'
SELECT hour,
    coalesce(sum(n) FILTER (WHERE event IN ('client', 'pickup')), 0)::BIGINT AS received,
    coalesce(sum(n) FILTER (WHERE status = 'sent' AND is_forwarded IS DISTINCT FROM true), 0)::BIGINT AS delivered,
    coalesce(sum(n) FILTER (WHERE status = 'deferred'), 0)::BIGINT AS deferred,
    coalesce(sum(n) FILTER (WHERE status = 'bounced'), 0)::BIGINT AS bounced,
    coalesce(sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject', 'reject_warning', 'hold', 'milter-hold', 'discard', 'milter-discard')), 0)::BIGINT AS rejected
FROM counted
WHERE hour IS NOT NULL
GROUP BY hour
ORDER BY hour

-- section: instances   Traffic of each host and process
-- chart: none
SELECT host, process,
    coalesce(sum(n) FILTER (WHERE event IN ('client', 'pickup')), 0)::BIGINT AS received,
    coalesce(sum(n) FILTER (WHERE status = 'sent' AND is_forwarded IS DISTINCT FROM true), 0)::BIGINT AS delivered,
    coalesce(sum(n) FILTER (WHERE status = 'deferred'), 0)::BIGINT AS deferred,
    coalesce(sum(n) FILTER (WHERE status = 'bounced'), 0)::BIGINT AS bounced,
    coalesce(sum(n) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject', 'reject_warning', 'hold', 'milter-hold', 'discard', 'milter-discard')), 0)::BIGINT AS rejected
FROM counted
GROUP BY ALL
ORDER BY ALL

-- section: recipient_domains   Deliveries by domain of the recipient
-- chart: x=domain y=sent mark=rank title='delivered by domain'
SELECT lower(split_part(recipient, '@', -1)) AS domain, sum(sent)::BIGINT AS sent,
    coalesce(sum(bytes), 0)::BIGINT AS bytes, sum(deferrals)::BIGINT AS deferrals, sum(bounced)::BIGINT AS bounced,
    (sum(delay_us) / 1e6 / nullif(sum(sent), 0))::DECIMAL(18,1) AS mean_delay,
    (max(longest_us) / 1e6)::DECIMAL(18,1) AS longest_delay
FROM received
GROUP BY domain
ORDER BY sent DESC, domain
LIMIT $detail

-- section: sender_domains   Messages by domain of the sender, or client
-- chart: none
SELECT coalesce(nullif(lower(split_part(sender, '@', -1)), ''), client_ip, '(from here)') AS domain,
    sum(messages)::BIGINT AS messages, coalesce(sum(bytes), 0)::BIGINT AS bytes
FROM written
GROUP BY ALL
ORDER BY messages DESC, domain
LIMIT $detail

-- section: delays   How long deliveries took, by agent: seconds
-- chart: none
SELECT daemon, sum(n)::BIGINT AS deliveries,
    (min(delay_us) FILTER (WHERE upto >= 0.5 * known) / 1e6)::DECIMAL(18,2) AS median,
    (min(delay_us) FILTER (WHERE upto >= 0.9 * known) / 1e6)::DECIMAL(18,2) AS p90,
    (min(delay_us) FILTER (WHERE upto >= 0.95 * known) / 1e6)::DECIMAL(18,2) AS p95,
    (min(delay_us) FILTER (WHERE upto >= 0.99 * known) / 1e6)::DECIMAL(18,2) AS p99,
    (max(delay_us) / 1e6)::DECIMAL(18,2) AS longest,
    (sum(a) / 1e6 / sum(n))::DECIMAL(18,2) AS before_queue, (sum(b) / 1e6 / sum(n))::DECIMAL(18,2) AS in_queue,
    (sum(c) / 1e6 / sum(n))::DECIMAL(18,2) AS connecting, (sum(d) / 1e6 / sum(n))::DECIMAL(18,2) AS sending
FROM (
    SELECT *, sum(n) OVER (PARTITION BY daemon, delay_us IS NULL ORDER BY delay_us) AS upto,
        sum(n) FILTER (WHERE delay_us IS NOT NULL) OVER (PARTITION BY daemon) AS known
    FROM timed
)
GROUP BY daemon
ORDER BY daemon

-- section: senders   Senders
-- chart: x=sender y=messages mark=rank title='messages by sender'
SELECT sender, sum(messages)::BIGINT AS messages, coalesce(sum(bytes), 0)::BIGINT AS bytes,
    sum(recipients)::BIGINT AS recipients, sum(sent)::BIGINT AS sent, sum(bounced)::BIGINT AS bounced,
    sum(deferred)::BIGINT AS deferred, sum(expired)::BIGINT AS expired
FROM written
GROUP BY sender
ORDER BY messages DESC, sender
LIMIT $detail

-- section: recipients   Recipients
-- chart: x=recipient y=sent mark=rank title='copies by recipient'
SELECT recipient, sent::BIGINT AS sent, coalesce(bytes, 0)::BIGINT AS bytes, without_size
FROM received
WHERE sent > 0
ORDER BY sent DESC, recipient
LIMIT $detail

-- section: logins   Who sent after login
-- chart: none
SELECT sasl_user AS user, client_ip, sum(messages)::BIGINT AS messages, sum(recipients)::BIGINT AS recipients,
    coalesce(sum(bytes), 0)::BIGINT AS bytes, count(DISTINCT sender) AS addresses
FROM written
WHERE sasl_user IS NOT NULL
GROUP BY ALL
ORDER BY messages DESC, user, client_ip
LIMIT $detail

-- section: deferrals   Why deliveries were deferred
-- chart: x=reason y=attempts mark=rank title='why deliveries were deferred'
SELECT daemon, reason_class AS class, reason_group AS reason, failed_host, sum(n)::BIGINT AS attempts
FROM outcomes
WHERE status = 'deferred'
GROUP BY ALL
ORDER BY attempts DESC, daemon, class, reason, failed_host
LIMIT $detail

-- section: bounces   Why copies bounced, by relay
-- chart: x=reason y=bounces mark=rank title='why copies bounced'
SELECT relay, dsn, reason_class AS class, reason_group AS reason, sum(n)::BIGINT AS bounces
FROM outcomes
WHERE status = 'bounced'
GROUP BY ALL
ORDER BY bounces DESC, relay, dsn, class, reason
LIMIT $detail

-- section: rejects   What was refused
-- chart: x=reason y=rejects mark=rank title='what was refused'
SELECT stage, code, reason_class AS class, reason_group AS reason, sum(n)::BIGINT AS rejects,
    count(DISTINCT client) AS clients
FROM refused
WHERE event IN ('reject', 'milter-reject', 'proxy-reject')
GROUP BY ALL
ORDER BY rejects DESC, stage, code, class, reason
LIMIT $detail

-- section: rejected_clients   Whose mail was refused most
-- chart: none
SELECT client, sum(n)::BIGINT AS rejects, mode(reason_group) AS mostly
FROM refused
WHERE event IN ('reject', 'milter-reject', 'proxy-reject')
GROUP BY client
ORDER BY rejects DESC, client
LIMIT 100

-- section: actions   Reject warnings, holds and discards
-- chart: none
SELECT event AS action, stage, reason_group AS reason, client, sum(n)::BIGINT AS lines
FROM refused
WHERE event NOT IN ('reject', 'milter-reject', 'proxy-reject')
GROUP BY ALL
ORDER BY lines DESC, action, stage, reason, client
LIMIT $detail

-- section: stuck   Messages tried most often
-- chart: none
SELECT host, queue_id, sender, attempts, first, last,
    CASE WHEN expired THEN 'given up' WHEN removed THEN 'gone' ELSE 'waiting' END AS state
FROM tried
ORDER BY attempts DESC, host, queue_id

-- section: connect_errors   Servers that could not be reached
-- chart: none
SELECT failed_host, reason_group AS reason, sum(n)::BIGINT AS lines, min(first) AS first, max(last) AS last
FROM noticed
WHERE event = 'connect_error'
GROUP BY ALL
ORDER BY lines DESC, failed_host, reason
LIMIT $detail

-- section: troubles   Warnings, errors, fatal errors, panics
-- chart: none
SELECT event AS level, daemon, reason_group AS text, sum(n)::BIGINT AS lines, min(first) AS first, max(last) AS last
FROM noticed
WHERE event IN ('warning', 'error', 'fatal', 'panic', 'sasl_failed')
GROUP BY ALL
ORDER BY lines DESC, level, daemon, text
LIMIT $detail

-- section: not_understood   Lines that the grammar does not know, by shape
-- chart: none
SELECT daemon, shape, sum(n)::BIGINT AS lines
FROM unknown
GROUP BY ALL
ORDER BY lines DESC, daemon, shape
LIMIT 100
