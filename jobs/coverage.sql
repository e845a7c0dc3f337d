-- What do the logs cover: lines of each host and day, gaps, silent hours, files that are missing, who lags?
-- param: least_gap_minutes BIGINT = 10   shorter gaps are none, whatever the host's habit

WITH minutes AS (
    SELECT host, day, hour, CAST(date_trunc('minute', time) AS TIMESTAMP) AS minute, count(*) AS lines,
        min(time) AS first, max(time) AS last
    FROM lines
    WHERE time IS NOT NULL
    GROUP BY ALL
), files AS (
    SELECT file, count(*) AS lines, min(time) AS first, max(time) AS last
    FROM lines
    GROUP BY file
), steps AS (
    SELECT host, lag(last) OVER (PARTITION BY host ORDER BY minute) AS begins, first AS ends,
        epoch(first) - epoch(lag(last) OVER (PARTITION BY host ORDER BY minute)) AS seconds
    FROM minutes
), habits AS (
    -- Few lines: ten times what three of four steps keep below. Many: nights may be silent, too.
    SELECT host, greatest($least_gap_minutes * 60, 10 * quantile_disc(seconds, 0.75),
        CASE WHEN count(*) >= 1000 THEN 3 * quantile_disc(seconds, 0.999) END) AS usual_seconds
    FROM steps
    GROUP BY host
), gaps AS (
    SELECT host, begins, ends, seconds
    FROM steps JOIN habits USING (host)
    WHERE seconds > usual_seconds
), days AS (
    SELECT host, CAST(unnest(generate_series(min(day)::TIMESTAMP, max(day)::TIMESTAMP, INTERVAL 1 DAY)) AS DATE) AS day,
        min(first) AS begins, max(last) AS ends
    FROM minutes
    GROUP BY host
), usual_hours AS (
    SELECT host, hour
    FROM (SELECT DISTINCT host, day, hour FROM minutes)
    JOIN (SELECT host, count(DISTINCT day) AS n_days FROM minutes GROUP BY host) USING (host)
    GROUP BY host, hour, n_days
    HAVING 2 * count(*) > n_days
), silent AS (
    SELECT d.host, d.day, count(*) AS hours
    FROM days d JOIN usual_hours u ON d.host IS NOT DISTINCT FROM u.host
    ANTI JOIN (SELECT DISTINCT host AS h, day AS d, hour AS o FROM minutes) m ON m.h IS NOT DISTINCT FROM d.host AND m.d = d.day AND m.o = u.hour
    WHERE d.day + to_hours(u.hour) >= date_trunc('hour', d.begins) AND d.day + to_hours(u.hour) <= d.ends
    GROUP BY d.host, d.day
), daily AS (
    SELECT host, day, sum(lines)::BIGINT AS lines, min(first) AS first, max(last) AS last
    FROM minutes
    GROUP BY host, day
), daily_gaps AS (
    SELECT host, CAST(begins AS DATE) AS day, count(*) AS gaps, max(seconds) AS longest
    FROM gaps
    GROUP BY ALL
)

-- section: coverage   Lines of each host and day; a day without any lies between two that have some
-- chart: x=day y=lines color=host mark=bar
SELECT d.host, d.day, coalesce(l.lines, 0) AS lines, l.first, l.last, coalesce(g.gaps, 0) AS gaps,
    (g.longest)::BIGINT AS longest_gap_s, coalesce(s.hours, 0) AS silent_hours
FROM days d
LEFT JOIN daily l ON l.host IS NOT DISTINCT FROM d.host AND l.day = d.day
LEFT JOIN daily_gaps g ON g.host IS NOT DISTINCT FROM d.host AND g.day = d.day
LEFT JOIN silent s ON s.host IS NOT DISTINCT FROM d.host AND s.day = d.day
ORDER BY d.host, d.day

-- section: gaps   Silences longer than is usual for the host
-- chart: none
SELECT host, begins, ends, seconds::BIGINT AS seconds
FROM gaps
ORDER BY host, begins

-- section: hosts   Each host's first and last line, and how far it lags behind the newest line of all
-- chart: none
SELECT host, min(first) AS first, max(last) AS last, sum(lines)::BIGINT AS lines, count(DISTINCT day) AS days,
    (max(day) - min(day) + 1 - count(DISTINCT day))::BIGINT AS days_without,
    (epoch((SELECT max(last) FROM minutes)) - epoch(max(last)))::BIGINT AS lag_s
FROM minutes
GROUP BY host
ORDER BY host

-- section: rotations   Files, and numbers that are missing between two of a rotated set
-- chart: none
SELECT name AS log, number, file, lines, first, last
FROM (
    SELECT coalesce(f.name, n.name) AS name, coalesce(f.number, n.number) AS number, f.file, f.lines, f.first, f.last
    FROM (
        SELECT *, regexp_replace(file, '(\.[0-9]{1,3})?(\.(gz|bz2|xz|zst|lz4|lzma))?$', '') AS name,
            coalesce(TRY_CAST(regexp_extract(file, '\.([0-9]{1,3})(\.(gz|bz2|xz|zst|lz4|lzma))?$', 1) AS BIGINT), 0) AS number
        FROM files
    ) f
    FULL JOIN (
        SELECT name, unnest(generate_series(min(number), max(number))) AS number
        FROM (
            SELECT regexp_replace(file, '(\.[0-9]{1,3})?(\.(gz|bz2|xz|zst|lz4|lzma))?$', '') AS name,
                TRY_CAST(regexp_extract(file, '\.([0-9]{1,3})(\.(gz|bz2|xz|zst|lz4|lzma))?$', 1) AS BIGINT) AS number
            FROM files
        )
        WHERE number IS NOT NULL
        GROUP BY name
    ) n ON f.name = n.name AND f.number = n.number
)
ORDER BY log, number, file
