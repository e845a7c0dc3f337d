-- Six weeks of four processes; two of them explode on Jan 20, and Jan 10 has no lines at all.
SELECT day::DATE AS day, process, n AS lines, n * 100 AS bytes
FROM (
    SELECT
        day,
        process,
        CASE
            WHEN process IN ('postfix/qmgr', 'postfix/smtp') AND day >= DATE '2008-01-20'
                THEN 4000 + 10 * day_of_month
            WHEN process = '日本語プロセス' THEN 40
            ELSE 900 + 7 * day_of_month
        END::BIGINT AS n
    FROM (SELECT day, extract(day FROM day) AS day_of_month
          FROM generate_series(DATE '2007-12-25', DATE '2008-01-31', INTERVAL 1 DAY) AS days (day)),
         (VALUES ('postfix/qmgr'), ('postfix/smtp'), ('postfix/smtpd'), ('日本語プロセス')) AS p (process)
    WHERE day != DATE '2008-01-10'
)
ORDER BY day, process
