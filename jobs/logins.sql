-- Who sent how much from where after login: messages, recipients, addresses used, failures?
-- by: user, client_ip of user, client_ip, client, day, hour, month, host, service
-- chart: x=user y=messages mark=rank title='messages by login'

WITH sent AS (
    SELECT sasl_user AS user, client_ip, client, day, hour, month, host, service,
        count(*) AS messages, sum(recipients)::BIGINT AS recipients, sum(size)::BIGINT AS bytes,
        list(DISTINCT sender ORDER BY sender) AS addresses, sum(bounced)::BIGINT AS bounced
    FROM messages
    WHERE sasl_user IS NOT NULL
    GROUP BY ALL
), failed AS (
    SELECT sasl_user AS user, client_ip, client, day, hour, month, host, service,
        count(*) AS failures
    FROM mail
    WHERE event = 'sasl_failed'
    GROUP BY ALL
), every AS (
    SELECT * FROM sent UNION ALL BY NAME SELECT * FROM failed
)
SELECT user, client_ip, coalesce(sum(messages), 0)::BIGINT AS messages,
    coalesce(sum(recipients), 0)::BIGINT AS recipients, coalesce(sum(bytes), 0)::BIGINT AS bytes,
    len(list_distinct(coalesce(flatten(list(addresses)), []))) AS addresses,
    coalesce(sum(bounced), 0)::BIGINT AS bounced, coalesce(sum(failures), 0)::BIGINT AS failures
FROM every
GROUP BY ALL
ORDER BY ALL
