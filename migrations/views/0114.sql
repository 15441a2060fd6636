-- The report views of docs/reference/sql-views.md, for both databases; dagbook/db/migrations/report_views.py expands what is in braces.

CREATE VIEW report_v1_runs AS
SELECT
    CAST(r.id AS TEXT) AS run_key,
    r.dag_name AS dag_name,
    r.run_id AS run_id,
    r.root_id IS NULL AS is_root,
    coalesce(root.dag_name, r.dag_name) AS root_dag_name,
    coalesce(root.run_id, r.run_id) AS root_run_id,
    parent.dag_name AS parent_dag_name,
    parent.run_id AS parent_run_id,
    r.file_name AS dag_file_name,
    r.dag_revision AS dag_revision,
    r.tags AS tags,
    r.queue AS queue,
    r.trigger AS trigger,
    r.actor AS actor,
    {status r.status} AS status,
    r.status IN (0, 1, 5) AS is_unfinished,
    r.attempt AS attempts,
    {time r.created_at} AS created_at,
    {day r.created_at} AS created_on,
    {time r.queued_at} AS queued_at,
    {time r.started_at} AS started_at,
    {time r.finished_at} AS finished_at,
    CASE WHEN r.attempt = 1 THEN {seconds r.started_at - r.queued_at} END AS queue_wait_seconds,
    {seconds r.finished_at - r.started_at} AS duration_seconds,
    CASE WHEN r.status = 1 THEN {since r.started_at} END AS running_seconds,
    {time r.stop_requested_at} AS stop_requested_at,
    r.stop_requested_by AS stop_requested_by,
    nullif(r.params_text, '') AS params,
    nullif(r.error, '') AS error
FROM runs r
    LEFT JOIN runs root ON root.id = r.root_id
    LEFT JOIN runs parent ON parent.id = r.parent_id
WHERE {root or sub r.root_id};

CREATE VIEW report_v1_steps AS
SELECT
    CAST(n.run_id AS TEXT) AS run_key,
    r.dag_name AS dag_name,
    r.run_id AS run_id,
    r.root_id IS NULL AS is_root,
    {time r.created_at} AS run_created_at,
    {day r.created_at} AS run_created_on,
    n.attempt AS attempt,
    n.attempt = r.attempt AS is_last_attempt,
    n.position AS step_position,
    n.name AS step_name,
    n.handler AS is_handler,
    {node status n.status} AS status,
    {time n.started_at} AS started_at,
    {time n.finished_at} AS finished_at,
    {seconds n.finished_at - n.started_at} AS duration_seconds,
    CASE WHEN n.status = 1 THEN {since n.started_at} END AS running_seconds,
    n.retry_count AS retries,
    n.done_count AS executions,
    n.exit_code AS exit_code,
    nullif(n.error, '') AS error,
    n.log_attempt AS kept_from_attempt,
    {time n.edited_at} AS edited_at,
    n.edited_by AS edited_by
FROM runs r
    {join then nodes} n ON n.run_id = r.id
WHERE {root or sub r.root_id};

CREATE VIEW report_v1_attempts AS
SELECT
    CAST(a.run_id AS TEXT) AS run_key,
    r.dag_name AS dag_name,
    r.run_id AS run_id,
    r.root_id IS NULL AS is_root,
    {time r.created_at} AS run_created_at,
    {day r.created_at} AS run_created_on,
    a.number AS attempt,
    a.number = r.attempt AS is_last_attempt,
    {status a.status} AS status,
    a.closed_at IS NULL AS is_open,
    {time a.opened_at} AS opened_at,
    {time a.closed_at} AS closed_at,
    {seconds a.closed_at - a.opened_at} AS open_seconds,
    s.kind AS owner_kind,
    s.name AS worker_name,
    s.host AS host
FROM run_attempts a
    JOIN runs r ON r.id = a.run_id
    LEFT JOIN services s ON s.id = a.owner
WHERE {root or sub r.root_id};

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
    LEFT JOIN queue_pauses p ON p.queue = q.queue;

CREATE VIEW report_v1_slots AS
SELECT
    s.file_name AS dag_file_name,
    s.kind AS kind,
    {time s.minute} AS scheduled_at,
    {day s.minute} AS scheduled_on,
    s.outcome AS outcome,
    s.reason AS reason,
    s.made_up AS is_catch_up,
    {time s.settled_at} AS handled_at,
    CAST(s.run_id AS TEXT) AS run_key,
    r.dag_name AS dag_name,
    r.run_id AS run_id,
    {status r.status} AS run_status,
    {time r.started_at} AS run_started_at,
    CASE WHEN r.attempt = 1 THEN {seconds r.started_at - s.minute} END AS start_delay_seconds
FROM schedule_slots s
    LEFT JOIN runs r ON r.id = s.run_id;

CREATE VIEW report_v1_dags AS
SELECT
    d.file_name AS dag_file_name,
    d.dag_name AS dag_name,
    d.revision AS revision,
    d.suspended AS is_suspended,
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

CREATE VIEW report_v1_audit AS
SELECT
    CAST(a.id AS TEXT) AS entry_id,
    {time a.at} AS occurred_at,
    {day a.at} AS occurred_on,
    a.actor AS actor,
    a.via AS via,
    a.user_id AS user_id,
    a.token_name AS token_name,
    a.address AS address,
    a.request_id AS request_id,
    a.action AS action,
    a.kind AS object_kind,
    a.name AS object_name,
    a.outcome AS outcome
FROM audit a;
