-- The views of queues and DAGs: a pause or suspension whose end has passed counts as absent.

CREATE VIEW report_v1_queue AS
SELECT
    q.queue AS queue,
    CAST(row_number() OVER (PARTITION BY q.queue ORDER BY q.priority DESC, q.place, q.id) AS integer) AS queue_position,
    CAST(q.run_id AS TEXT) AS run_key,
    r.dag_name AS dag_name,
    r.run_id AS run_id,
    r.root_id IS NULL AS is_root,
    r.attempt AS attempt,
    r.trigger AS trigger,
    r.actor AS actor,
    q.priority AS priority,
    {time q.queued_at} AS queued_at,
    {since q.queued_at} AS waiting_seconds,
    q.reason AS wait_reason,
    q.selector AS worker_selector,
    p.queue IS NOT NULL AS is_paused,
    {time p.paused_at} AS paused_at,
    p.paused_by AS paused_by
FROM queue_entries q
    JOIN runs r ON r.id = q.run_id
    LEFT JOIN queue_pauses p ON p.queue = q.queue AND (p.until IS NULL OR {since p.until} < 0);

CREATE VIEW report_v1_dags AS
SELECT
    d.file_name AS dag_file_name,
    d.dag_name AS dag_name,
    d.revision AS revision,
    d.suspended AND (d.suspended_until IS NULL OR {since d.suspended_until} < 0) AS is_suspended,
    d.tags AS tags,
    s.name AS source_name,
    {time d.created_at} AS created_at,
    {time d.updated_at} AS updated_at,
    CAST(r.id AS TEXT) AS last_run_key,
    r.run_id AS last_run_id,
    {status r.status} AS last_run_status,
    {time r.created_at} AS last_run_created_at,
    {time r.finished_at} AS last_run_finished_at,
    {seconds r.finished_at - r.started_at} AS last_run_duration_seconds,
    {since r.created_at} AS seconds_since_last_run
FROM dags d
    LEFT JOIN source_files f ON f.dag_id = d.id
    LEFT JOIN sources s ON s.id = f.source_id
    LEFT JOIN runs r ON r.id = (
        SELECT last.id FROM runs last WHERE last.dag_name = d.dag_name AND last.root_id IS NULL
        ORDER BY last.created_at DESC, last.id DESC LIMIT 1
    );
