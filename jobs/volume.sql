-- How many lines and bytes did each process log, per day?
-- by: day, process of file, host, process, month, day, hour, severity
-- chart: x=day y=bytes mark=bar title='volume per day'
-- chart: x=day y=bytes color=process mark=line title='volume per day and process'

SELECT day, process, count(*) AS lines, sum(bytes)::BIGINT AS bytes
FROM lines
GROUP BY day, process
ORDER BY day, process
