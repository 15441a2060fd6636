-- Median, 95th percentile (nearest rank) and maximum of the duration of each DAG's runs, the slowest DAG first.
WITH ranked AS (
    SELECT
        dag_name,
        duration_seconds,
        cume_dist() OVER (PARTITION BY dag_name ORDER BY duration_seconds) AS place
    FROM report_v1_runs
    WHERE created_at >= :since AND created_at < :until
        AND is_root AND duration_seconds IS NOT NULL
)
SELECT
    dag_name,
    count(*) AS runs,
    min(duration_seconds) FILTER (WHERE place >= 0.5) AS median_seconds,
    min(duration_seconds) FILTER (WHERE place >= 0.95) AS p95_seconds,
    max(duration_seconds) AS longest_seconds
FROM ranked
GROUP BY dag_name
ORDER BY p95_seconds DESC, dag_name;
