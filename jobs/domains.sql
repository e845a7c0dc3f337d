-- Which domains was mail delivered to, how long did it take, and what failed?
-- by: domain of domain, day, month, relay
-- chart: x=domain y=messages mark=rank title='messages by domain of the recipient'

WITH gone AS (
    SELECT lower(split_part(recipient, '@', -1)) AS domain, CAST(last_attempt AS DATE) AS day,
        CAST(date_trunc('month', last_attempt) AS DATE) AS month, relay, count(*) AS messages,
        count(*) FILTER (WHERE status = 'sent') AS sent, sum(attempts)::BIGINT AS attempts,
        sum(CASE WHEN status = 'sent' THEN size END)::BIGINT AS bytes,
        count(*) FILTER (WHERE status = 'deferred') AS deferred,
        count(*) FILTER (WHERE status = 'bounced') AS bounced,
        sum(CASE WHEN status = 'sent' THEN delay_us END) AS delay_us,
        max(CASE WHEN status = 'sent' THEN delay_us END) AS longest_us
    FROM deliveries
    GROUP BY ALL
)
SELECT domain, sum(messages)::BIGINT AS messages, sum(sent)::BIGINT AS sent,
    sum(bytes)::BIGINT AS bytes, sum(deferred)::BIGINT AS deferred, sum(bounced)::BIGINT AS bounced,
    sum(attempts)::BIGINT AS attempts,
    (sum(delay_us) / 1e6 / nullif(sum(sent), 0))::DECIMAL(18,2) AS mean_delay,
    (max(longest_us) / 1e6)::DECIMAL(18,2) AS longest_delay
FROM gone
GROUP BY ALL
ORDER BY ALL
