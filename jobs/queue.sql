-- How many messages came, went and waited in the queue, per day?
-- by: day of day
-- chart: x=day y=waiting mark=line title='messages waiting at the end of the day'

WITH came AS (
    SELECT day, count(*) AS came, count(*) FILTER (WHERE sender = '') AS came_from_nobody
    FROM messages
    GROUP BY day
), gone AS (
    SELECT CAST(last AS DATE) AS day, count(*) AS gone, count(*) FILTER (WHERE expired) AS given_up,
        count(*) FILTER (WHERE sender = '') AS gone_from_nobody
    FROM messages
    WHERE removed
    GROUP BY CAST(last AS DATE)
), both_ways AS (
    SELECT day, coalesce(came, 0) AS came, coalesce(gone, 0) AS gone, coalesce(given_up, 0) AS given_up,
        coalesce(came_from_nobody, 0) - coalesce(gone_from_nobody, 0) AS nobodys
    FROM came FULL JOIN gone USING (day)
)
-- One row a day: the sums say what may be added up.
SELECT day, sum(came)::BIGINT AS came, sum(gone)::BIGINT AS gone, sum(given_up)::BIGINT AS given_up,
    sum(sum(came - gone)) OVER (ORDER BY day)::BIGINT AS waiting,
    sum(sum(nobodys)) OVER (ORDER BY day)::BIGINT AS waiting_from_nobody
FROM both_ways
GROUP BY day
ORDER BY day
