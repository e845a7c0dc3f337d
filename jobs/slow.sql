-- How long did requests take, in seconds, where the log tells?
-- by: path of day, hour, month, host, file, vhost, method, status, path, client_ip, bot
-- chart: x=path y=p95 mark=rank title='95 of 100 requests took at most, in seconds'

SELECT path, count(*) AS requests, quantile_cont(request_time, 0.5) AS median,
    quantile_cont(request_time, 0.95) AS p95, max(request_time) AS longest,
    sum(request_time_us) / 1e6 AS total
FROM access
WHERE request_time_us IS NOT NULL
GROUP BY ALL
ORDER BY ALL
