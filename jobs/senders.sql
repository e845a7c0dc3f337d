-- Who sent how much: messages, recipients, bytes, and what became of them?
-- by: sender of day, hour, month, host, instance, service, sender, lower(split_part(sender, '@', -1)) AS domain, client, client_ip, sasl_user
-- chart: x=sender y=messages mark=rank title='messages by sender'

SELECT sender, count(*) AS messages, sum(recipients)::BIGINT AS recipients, sum(size)::BIGINT AS bytes,
    sum(sent)::BIGINT AS sent, sum(deferred)::BIGINT AS deferred, sum(bounced)::BIGINT AS bounced,
    sum(attempts)::BIGINT AS attempts, count(*) FILTER (WHERE expired) AS expired
FROM messages
GROUP BY ALL
ORDER BY ALL
