-- What did Postfix warn of, how badly, and how often?
-- by: event AS level, daemon, reason_group AS warning of day, hour, month, host, instance, service, daemon, event AS level, reason_group AS warning, client, client_ip
-- chart: x=warning y=lines mark=rank title='warnings'

SELECT event AS level, daemon, reason_group AS warning, count(*) AS lines, min(time) AS first, max(time) AS last
FROM mail
WHERE event IN ('warning', 'error', 'fatal', 'panic', 'sasl_failed')
GROUP BY ALL
ORDER BY ALL
