-- Scheduled starts that began more than a minute late, or not at all.
SELECT
    scheduled_at,
    dag_file_name,
    outcome,
    reason,
    is_catch_up,
    run_id,
    start_delay_seconds
FROM report_v1_slots
WHERE
    scheduled_at >= :since
    AND scheduled_at < :until
    AND kind = 'start'
    AND (start_delay_seconds > 60 OR outcome IN ('skipped', 'missed', 'failed'))
ORDER BY scheduled_at DESC, dag_file_name;
