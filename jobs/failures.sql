-- Which addresses, or networks, fail to sign in most, as whom, and did one get in?
-- by: client_ip AS client_ip of client_ip AS client_ip, regexp_replace(client_ip, '(\.\d+|:[^:]*)$', '') AS network, "user" AS user, service, method, day, hour, month, host

SELECT client_ip AS client_ip, count(*) FILTER (WHERE outcome = 'failure') AS attempts,
    count(DISTINCT "user") FILTER (WHERE outcome = 'failure') AS users,
    count(*) FILTER (WHERE outcome = 'success') AS successes,
    min(time) AS first, max(time) AS last
FROM auth
WHERE outcome IN ('success', 'failure')
GROUP BY ALL
HAVING attempts > 0
ORDER BY attempts DESC, 1
