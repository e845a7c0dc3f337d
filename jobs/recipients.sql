-- Who was written to: messages, bytes, and what became of them?
-- by: recipient of day, hour, month, host, instance, daemon, recipient, orig_to, relay, lower(split_part(recipient, '@', -1)) AS domain, sender, status
-- chart: x=recipient y=messages mark=rank title='messages by recipient'

SELECT recipient, count(*) AS messages, sum(CASE WHEN status = 'sent' THEN size END)::BIGINT AS bytes,
    count(*) FILTER (WHERE status = 'sent') AS sent,
    count(*) FILTER (WHERE status = 'deferred') AS deferred,
    count(*) FILTER (WHERE status = 'bounced') AS bounced,
    sum(attempts)::BIGINT AS attempts
FROM deliveries
GROUP BY ALL
ORDER BY ALL
