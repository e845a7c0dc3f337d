-- No rows.
SELECT 1 AS n, 'x' AS "a|b" WHERE false
