-- Failure rate of each DAG on each day, in percent of the runs that have ended, without sub-runs.
SELECT
    created_on,
    dag_name,
    count(*) AS runs,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    CAST(100.0 * count(*) FILTER (WHERE status = 'failed') / count(*) AS double precision) AS failed_percent
FROM report_v1_runs
WHERE created_at >= :since AND created_at < :until AND is_root AND finished_at IS NOT NULL
GROUP BY created_on, dag_name
ORDER BY created_on DESC, failed_percent DESC, dag_name;
