-- Which requests failed: status 400 and up, and requests that are none?
-- by: status, path of day, hour, month, host, file, vhost, method, status, path, client_ip, user, referer, user_agent, bot
-- param: least INTEGER = 400   from which status on
-- chart: none

SELECT status, path, count(*) AS requests, count(DISTINCT client_ip) AS clients,
    min(time) AS first, max(time) AS last
FROM access
WHERE coalesce(status, 400) >= $least
GROUP BY ALL
ORDER BY ALL
