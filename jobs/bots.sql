-- Which bots come, how often, and what do they cost?
-- by: bot AS bot of day, hour, month, bot AS bot, user_agent, client_ip, status, vhost, path
-- chart: x=bot y=requests mark=rank title='requests of bots'

SELECT bot AS bot, count(*) AS requests, coalesce(sum(size), 0)::BIGINT AS bytes,
    count(DISTINCT client_ip) AS clients, count(*) FILTER (WHERE status >= 400) AS errors
FROM access
WHERE bot IS NOT NULL
GROUP BY ALL
ORDER BY ALL
