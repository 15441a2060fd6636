-- Steps that were retried by their retryPolicy: how often, and how many of them failed all the same.
SELECT
    dag_name,
    step_name,
    count(*) AS retried_steps,
    sum(retries) AS retries,
    count(*) FILTER (WHERE status = 'failed') AS failed
FROM report_v1_steps
WHERE run_created_at >= :since AND run_created_at < :until
    AND retries > 0 AND kept_from_attempt IS NULL
GROUP BY dag_name, step_name
ORDER BY retries DESC, dag_name, step_name;
