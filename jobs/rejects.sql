-- What was refused, and whose?
-- by: day, reason_group AS reason, client of day, hour, month, host, instance, service, stage, code, dsn, reason_group AS reason, reason_class, client, client_ip, helo, sender, recipient, lower(split_part(recipient, '@', -1)) AS domain
-- chart: x=day y=rejects color=reason mark=bar title='refused per day and reason'

SELECT day, reason_group AS reason, client, count(*) AS rejects
FROM mail
WHERE event IN ('reject', 'milter-reject', 'proxy-reject')
GROUP BY ALL
ORDER BY ALL
