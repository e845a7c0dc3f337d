-- How many requests were answered, with which status, and how many bytes went out?
-- by: day, status of day, hour, month, host, file, vhost, method, protocol, status, status // 100 AS class, path, client_ip, user, referer, user_agent, bot
-- chart: x=day y=requests color=status mark=bar title='requests per day'

SELECT day, status, count(*) AS requests, coalesce(sum(size), 0)::BIGINT AS bytes
FROM access
GROUP BY ALL
ORDER BY ALL
