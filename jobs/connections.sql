-- Who connected how often, and what for? Commands are told by servers of Postfix 3 and newer
-- by: client of client, client_ip, day, hour, month, host, instance, service
-- chart: x=client y=connections mark=rank title='connections by client'

SELECT client, count(*) FILTER (WHERE event = 'connect') AS connections,
    count(*) FILTER (WHERE event = 'disconnect') AS ended,
    count(*) FILTER (WHERE event = 'lost_connection') AS lost,
    count(*) FILTER (WHERE event = 'timeout') AS timeouts,
    coalesce(sum(nullif(regexp_extract(tally, '\bauth=([0-9]{1,9})', 1), '')::BIGINT), 0)::BIGINT AS logins,
    coalesce(sum(nullif(regexp_extract(tally, '\bmail=([0-9]{1,9})', 1), '')::BIGINT), 0)::BIGINT AS mails,
    coalesce(sum(nullif(regexp_extract(tally, '\brcpt=([0-9]{1,9})', 1), '')::BIGINT), 0)::BIGINT AS recipients,
    coalesce(sum(nullif(regexp_extract(tally, '\bcommands=(?:[0-9]+/)?([0-9]{1,9})', 1), '')::BIGINT), 0)::BIGINT AS commands,
    count(*) FILTER (WHERE event IN ('reject', 'milter-reject', 'proxy-reject')) AS rejects
FROM mail
WHERE event IN ('connect', 'disconnect', 'lost_connection', 'timeout', 'reject', 'milter-reject', 'proxy-reject')
GROUP BY ALL
ORDER BY ALL
