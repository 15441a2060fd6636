-- Stored DAGs that have not run since a time, or never; the longest idle first.
SELECT
    dag_file_name,
    is_suspended,
    last_run_created_at,
    last_run_status,
    seconds_since_last_run / 86400 AS days_since_last_run
FROM report_v1_dags
WHERE last_run_created_at IS NULL OR last_run_created_at < :since
ORDER BY coalesce(last_run_created_at, created_at), dag_file_name;
