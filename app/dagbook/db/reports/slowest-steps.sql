-- The twenty steps with the longest time on average, those of sub-runs included, without what a retry did not run again.
SELECT
    dag_name,
    step_name,
    count(duration_seconds) AS executed,
    avg(duration_seconds) AS average_seconds,
    max(duration_seconds) AS longest_seconds
FROM report_v1_steps
WHERE run_created_at >= :since AND run_created_at < :until
    AND executions > 0 AND kept_from_attempt IS NULL
GROUP BY dag_name, step_name
HAVING count(duration_seconds) > 0
ORDER BY average_seconds DESC, dag_name, step_name
LIMIT 20;
