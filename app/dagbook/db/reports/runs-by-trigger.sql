-- What started the runs, and who; a run without an actor was started by a schedule or another run.
SELECT
    trigger,
    coalesce(actor, '-') AS started_by,
    count(*) AS runs,
    count(*) FILTER (WHERE status = 'failed') AS failed,
    sum(duration_seconds) AS total_seconds
FROM report_v1_runs
WHERE created_at >= :since AND created_at < :until
GROUP BY trigger, coalesce(actor, '-')
ORDER BY runs DESC, trigger, started_by;
