-- Which bounces were born here and never delivered, what caused them, what do they cost, what to do?
-- param: lifetime_days BIGINT = 1   a shorter queue lifetime, whose effect `saved` counts

WITH born AS (
    SELECT host, queue_id, generation, time, parent_id, uid, attempts, deferrals
    FROM messages
    WHERE sender = '' AND sent = 0 AND client IS NULL
), told AS (
    SELECT host, queue_id, generation, recipient AS forged
    FROM deliveries
    WHERE sender = '' AND sent = 0
), handed AS (
    SELECT host, lower(sender) AS forged, recipient AS asked, last_attempt AS at, client_ip
    FROM deliveries
    WHERE sender <> '' AND status = 'sent' AND (daemon = 'pipe' OR starts_with(reason, 'delivered to command'))
), failed AS (
    SELECT host, queue_id, generation, recipient AS asked, reason_group, last_attempt AS at, client_ip
    FROM deliveries
    WHERE sender <> '' AND status = 'bounced'
), policies AS (
    SELECT host, lower(regexp_extract(message, '[ <]from <?([^ <>,;:]+@[^ <>,;:]+)', 1)) AS forged,
        regexp_extract(message, '(?:refused|rejected|denied)[:,]? *(.*)$', 1) AS policy, min(time) AS at
    FROM lines
    WHERE process NOT LIKE 'postfix%' AND regexp_matches(message, 'refused|rejected|denied') AND contains(message, '@')
    GROUP BY ALL
), weights AS (
    SELECT host, queue_id, count(*) AS lines, sum(bytes) AS bytes,
        count(*) FILTER (WHERE event = 'delivery' AND delay_us > $lifetime_days * 86400000000) AS late
    FROM mail
    WHERE daemon IN ('smtp', 'qmgr') AND queue_id IS NOT NULL
    GROUP BY host, queue_id
), volume AS (
    SELECT sum(bytes) AS bytes FROM mail WHERE daemon IN ('smtp', 'qmgr')
), bounces AS (
    SELECT host, queue_id, generation, any_value(time) AS time, any_value(parent_id) AS parent_id,
        any_value(uid) AS uid, any_value(attempts) AS attempts, any_value(deferrals) AS deferrals,
        min(lower(forged)) AS forged
    FROM born LEFT JOIN told USING (host, queue_id, generation)
    GROUP BY ALL
), by_program AS (
    SELECT b.host, b.queue_id, b.generation, first(h.asked ORDER BY h.at DESC, h.asked) AS asked, first(h.client_ip ORDER BY h.at DESC, h.client_ip) AS client_ip
    FROM bounces b JOIN handed h ON b.host = h.host AND b.forged = h.forged AND h.at BETWEEN b.time - INTERVAL 1 HOUR AND b.time
    WHERE b.parent_id IS NULL
    GROUP BY ALL
), by_parent AS (
    SELECT b.host, b.queue_id, b.generation, first(f.asked ORDER BY f.at DESC, f.asked) AS asked, first(f.reason_group ORDER BY f.at DESC, f.reason_group) AS policy,
        first(f.client_ip ORDER BY f.at DESC, f.client_ip) AS client_ip
    FROM bounces b JOIN failed f ON b.host = f.host AND b.parent_id = f.queue_id AND f.at BETWEEN b.time - INTERVAL 1 HOUR AND b.time + INTERVAL 1 HOUR
    GROUP BY ALL
), said AS (
    SELECT b.host, b.queue_id, b.generation, first(p.policy ORDER BY p.at DESC, p.policy) AS policy
    FROM bounces b JOIN policies p ON b.host = p.host AND b.forged = p.forged AND p.at <= b.time
    WHERE p.policy <> ''
    GROUP BY ALL
), explained AS (
    SELECT b.*, coalesce(a.asked, c.asked) AS asked, coalesce(s.policy, c.policy) AS policy,
        coalesce(a.client_ip, c.client_ip) AS client_ip, w.lines, w.bytes, w.late,
        CASE WHEN c.asked IS NOT NULL THEN 'bounced' WHEN a.asked IS NOT NULL THEN 'answered'
            WHEN b.uid IS NOT NULL THEN 'program' ELSE 'unknown' END AS kind
    FROM bounces b
    LEFT JOIN by_program a USING (host, queue_id, generation)
    LEFT JOIN by_parent c USING (host, queue_id, generation)
    LEFT JOIN said s USING (host, queue_id, generation)
    LEFT JOIN weights w USING (host, queue_id)
)

-- section: backscatter   What caused bounces that nobody takes, what they cost, and what to do about it
-- chart: x=cause y=attempts mark=rank title='attempts to deliver backscatter, by cause'
SELECT coalesce(asked, CASE kind WHEN 'program' THEN '(a program here, uid ' || min(uid) || ')' ELSE '(unknown)' END) AS cause,
    mode(policy ORDER BY policy) AS policy, count(*) AS bounces, count(*) FILTER (WHERE deferrals > 0) AS stuck,
    sum(attempts)::BIGINT AS attempts,
    (100 * sum(bytes) / any_value((SELECT bytes FROM volume)))::DECIMAL(9,1) AS percent_of_smtp_and_qmgr,
    coalesce(sum(late), 0)::BIGINT AS saved, first(forged ORDER BY attempts DESC, queue_id, host, generation) AS worst_forged, first(queue_id ORDER BY attempts DESC, queue_id, host, generation) AS worst_id,
    CASE kind
        WHEN 'answered' THEN 'let ' || asked || ' ignore what it refuses instead of answering it'
        WHEN 'bounced' THEN 'refuse ' || asked || ' at RCPT instead of taking and bouncing its mail'
        WHEN 'program' THEN 'find the program of that uid and let it answer nobody it does not know'
        ELSE 'sawlog trace ' || first(queue_id ORDER BY attempts DESC, queue_id, host, generation)
    END || CASE WHEN sum(late) > 0
        THEN '; bounce_queue_lifetime = ' || $lifetime_days || 'd saves ' || sum(late) || ' of ' || sum(attempts) || ' attempts' ELSE '' END AS advice
FROM explained
GROUP BY asked, kind
ORDER BY attempts DESC, cause

-- section: forged_domains   Whose names were forged
-- chart: none
SELECT split_part(forged, '@', -1) AS domain, count(*) AS bounces, count(*) FILTER (WHERE deferrals > 0) AS stuck,
    sum(attempts)::BIGINT AS attempts
FROM explained
GROUP BY domain
ORDER BY attempts DESC, domain
LIMIT 1000

-- section: client_networks   Where the mail that caused them came from
-- chart: none
SELECT CASE WHEN contains(client_ip, ':') THEN array_to_string(string_split(client_ip, ':')[1:4], ':') || '::/64'
        WHEN client_ip IS NOT NULL THEN array_to_string(string_split(client_ip, '.')[1:3], '.') || '.0/24' END AS network,
    count(*) AS bounces, count(*) FILTER (WHERE deferrals > 0) AS stuck, sum(attempts)::BIGINT AS attempts
FROM explained
GROUP BY network
ORDER BY attempts DESC, network
LIMIT 1000
