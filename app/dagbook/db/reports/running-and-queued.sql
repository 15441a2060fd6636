-- What is running and queued now, the longest first. It has no window.
SELECT
    'running' AS state,
    dag_name,
    run_id,
    actor,
    running_seconds AS seconds,
    NULL AS wait_reason
FROM report_v1_runs
WHERE is_unfinished AND is_root AND status = 'running'
UNION ALL
SELECT
    'queued',
    dag_name,
    run_id,
    actor,
    waiting_seconds,
    wait_reason
FROM report_v1_queue
ORDER BY state DESC, seconds DESC, dag_name;
