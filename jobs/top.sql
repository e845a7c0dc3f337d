-- Which paths, clients or programs ask most, and for how many bytes?
-- by: path of path, query, client_ip, user, user_agent, bot, referer, vhost, method, protocol
-- param: most BIGINT = 20   rows
-- chart: x=path y=requests mark=rank title='most requests'

SELECT path, count(*) AS requests, coalesce(sum(size), 0)::BIGINT AS bytes,
    count(*) FILTER (WHERE status >= 400) AS errors
FROM access
GROUP BY ALL
ORDER BY requests DESC, path
LIMIT $most
