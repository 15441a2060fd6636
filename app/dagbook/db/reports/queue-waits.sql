-- How long runs waited in each queue on each day. Runs that are still queued are in running-and-queued.sql.
SELECT
    created_on,
    queue,
    count(*) AS runs,
    avg(queue_wait_seconds) AS average_seconds,
    max(queue_wait_seconds) AS longest_seconds
FROM report_v1_runs
WHERE created_at >= :since AND created_at < :until AND is_root AND queue_wait_seconds IS NOT NULL
GROUP BY created_on, queue
ORDER BY created_on DESC, longest_seconds DESC, queue;
