-- What became of the attempts to deliver: sent, deferred, bounced?
-- by: day, status of day, hour, month, host, instance, daemon, status, dsn, relay, recipient, lower(split_part(recipient, '@', -1)) AS domain, reason_group AS reason, reason_class
-- chart: x=day y=deliveries color=status mark=bar title='attempts to deliver per day'

SELECT day, status, count(*) AS deliveries
FROM mail
WHERE event = 'delivery'
GROUP BY ALL
ORDER BY ALL
