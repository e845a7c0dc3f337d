-- How long did deliveries take? Seconds; the quantiles are those of a t-digest, within 1 % or so
-- by: relay of day, hour, month, host, instance, daemon, relay, relay_ip, lower(split_part(recipient, '@', -1)) AS domain, status
-- chart: x=relay y=deliveries mark=rank title='deliveries by relay'

SELECT relay, count(*) AS deliveries,
    (approx_quantile(delay_us, 0.5) / 1e6)::DECIMAL(18,2) AS median,
    (approx_quantile(delay_us, 0.95) / 1e6)::DECIMAL(18,2) AS p95,
    (max(delay_us) / 1e6)::DECIMAL(18,2) AS longest,
    (sum(delay_a_us) / 1e6 / count(*))::DECIMAL(18,2) AS before_queue,
    (sum(delay_b_us) / 1e6 / count(*))::DECIMAL(18,2) AS in_queue,
    (sum(delay_c_us) / 1e6 / count(*))::DECIMAL(18,2) AS connecting,
    (sum(delay_d_us) / 1e6 / count(*))::DECIMAL(18,2) AS sending
FROM mail
WHERE event = 'delivery' AND status = 'sent'
GROUP BY ALL
ORDER BY ALL
