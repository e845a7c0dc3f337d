-- Who signed in, how often, from how many addresses, and how often did it fail?
-- by: "user" AS user, service of "user" AS user, service, client_ip, method, outcome, day, hour, month, host, process
-- chart: x=user y=attempts mark=rank title='sign-ins by user'

SELECT "user" AS user, service, count(*) AS attempts,
    count(*) FILTER (WHERE outcome = 'success') AS successes,
    count(*) FILTER (WHERE outcome = 'failure') AS failures,
    count(DISTINCT client_ip) AS addresses, min(time) AS first, max(time) AS last
FROM auth
WHERE outcome IN ('success', 'failure')
GROUP BY ALL
ORDER BY ALL
