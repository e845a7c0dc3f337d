-- Which messages were tried again, how often per day, and why?
-- param: queue_id VARCHAR = ''   this message only: a row for each day until it was given up
-- chart: x=day y=attempts color=queue_id mark=bar title='attempts of stuck messages per day'

WITH tried AS (
    SELECT day, host, queue_id, count(*) AS attempts,
        last(reason) AS reason, last(recipient) AS recipient, last(relay) AS relay
    FROM mail
    WHERE status = 'deferred' AND ($queue_id = '' OR queue_id = $queue_id)
    GROUP BY day, host, queue_id
), reach AS (
    SELECT max(day) AS last FROM lines WHERE $queue_id <> ''
), days AS (
    -- From the first attempt to the day after the last, as far as the input reaches.
    SELECT host, queue_id,
        CAST(unnest(generate_series(min(day), least(max(day) + 1, (SELECT last FROM reach)), INTERVAL 1 DAY)) AS DATE) AS day
    FROM tried
    WHERE $queue_id <> ''
    GROUP BY host, queue_id
)
-- One row a group: the sum says that attempts may be added up.
SELECT day, host, queue_id, sum(coalesce(attempts, 0))::BIGINT AS attempts, reason, recipient, relay
FROM tried FULL JOIN days USING (day, host, queue_id)
GROUP BY ALL
ORDER BY day, host, queue_id
