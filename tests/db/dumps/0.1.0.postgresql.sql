


SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;





COMMENT ON SCHEMA public IS 'standard public schema';



CREATE TYPE public.pgqueuer_status AS ENUM (
    'queued',
    'picked',
    'successful',
    'exception',
    'canceled',
    'deleted',
    'failed'
);



CREATE FUNCTION public.fn_pgqueuer_changed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    to_emit BOOLEAN := false;  -- Flag to decide whether to emit a notification
BEGIN
    -- Check operation type and set the emit flag accordingly
    IF TG_OP = 'UPDATE' AND OLD IS DISTINCT FROM NEW THEN
        to_emit := true;
    ELSIF TG_OP = 'DELETE' THEN
        to_emit := true;
    ELSIF TG_OP = 'INSERT' THEN
        to_emit := true;
    ELSIF TG_OP = 'TRUNCATE' THEN
        to_emit := true;
    END IF;

    -- Perform notification if the emit flag is set
    IF to_emit THEN
        PERFORM pg_notify(
            'ch_pgqueuer',
            json_build_object(
                'channel', 'ch_pgqueuer',
                'operation', lower(TG_OP),
                'sent_at', NOW(),
                'table', TG_TABLE_NAME,
                'type', 'table_changed_event'
            )::text
        );
    END IF;

    -- Return appropriate value based on the operation
    IF TG_OP IN ('INSERT', 'UPDATE') THEN
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' THEN
        RETURN OLD;
    ELSE
        RETURN NULL; -- For TRUNCATE and other non-row-specific contexts
    END IF;

END;
$$;



CREATE FUNCTION public.guard_audit_delete() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF (SELECT pruned_at FROM audit_seals WHERE last_id >= OLD.id ORDER BY last_id LIMIT 1) IS NOT NULL THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'an audit entry goes only when the seal over it is marked as pruned' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_audit_seals_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.pruned_at IS NULL
    AND NEW.number = COALESCE((SELECT number FROM audit_seals ORDER BY number DESC LIMIT 1), 0) + 1
    AND NEW.first_id > COALESCE((SELECT last_id FROM audit_seals ORDER BY number DESC LIMIT 1), 0)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a seal follows the last one, in its number and in its entries' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_audit_seals_update() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF OLD.pruned_at IS NULL AND NEW.pruned_at IS NOT NULL AND NEW.marks IS NULL
    AND NEW.number = OLD.number AND NEW.first_id = OLD.first_id AND NEW.last_id = OLD.last_id
    AND NEW.entries = OLD.entries AND NEW.digest = OLD.digest AND NEW.hash = OLD.hash
    AND NEW.signature = OLD.signature AND NEW.sealed_at = OLD.sealed_at
    AND NOT EXISTS (SELECT 1 FROM audit_seals WHERE number = OLD.number - 1 AND pruned_at IS NULL)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a seal is never changed; it may be marked as pruned once, after those before it'
    USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_log_chunks_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.seq = 0 THEN
    IF NEW.first_line = 1 AND NEW.byte_offset = 0 THEN
      RETURN NEW;
    END IF;
  ELSIF EXISTS (
    SELECT 1 FROM log_chunks
    WHERE run_id = NEW.run_id AND attempt = NEW.attempt AND position = NEW.position AND stream = NEW.stream
      AND seq = NEW.seq - 1 AND first_line + line_count = NEW.first_line AND byte_offset + byte_count = NEW.byte_offset
  ) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a log chunk continues where the one before it ended' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_nodes_status() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF OLD.status <> 1 AND NEW.status <> 1
    AND NEW.edited_at IS NOT NULL AND NEW.edited_at IS DISTINCT FROM OLD.edited_at
    AND EXISTS (SELECT 1 FROM runs WHERE id = NEW.run_id AND status NOT IN (0, 1))
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a node cannot go from its status to this one' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_refuse() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_run_events_delete() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM runs WHERE id = OLD.run_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'an event goes only together with its run' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_run_events_insert() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.seq = COALESCE((SELECT seq FROM run_events WHERE run_id = NEW.run_id ORDER BY seq DESC LIMIT 1), 0) + 1 THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'the events of a run are numbered from one without gaps' USING ERRCODE = 'check_violation';
END $$;



CREATE FUNCTION public.guard_runs_attempt() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
  IF NEW.attempt = OLD.attempt - 1 AND OLD.status = 5 AND NEW.status IN (2, 3, 4, 6)
    AND EXISTS (SELECT 1 FROM run_attempts WHERE run_id = NEW.id AND number = NEW.attempt AND status = NEW.status)
  THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'a run cannot change to this attempt with this status' USING ERRCODE = 'check_violation';
END $$;


SET default_tablespace = '';

SET default_table_access_method = heap;


CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);



CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    actor text,
    via text NOT NULL,
    user_id text,
    token_id text,
    token_name text,
    address text NOT NULL,
    request_id text NOT NULL,
    action text NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    before text,
    after text,
    outcome text NOT NULL,
    CONSTRAINT ck_audit_outcome_known CHECK ((outcome = ANY (ARRAY['done'::text, 'refused'::text, 'failed'::text])))
);



CREATE SEQUENCE public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;



CREATE TABLE public.audit_seals (
    number bigint NOT NULL,
    first_id bigint NOT NULL,
    last_id bigint NOT NULL,
    entries integer NOT NULL,
    digest text NOT NULL,
    hash text NOT NULL,
    signature bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    pruned_at timestamp with time zone,
    marks bytea,
    CONSTRAINT ck_audit_seals_entries_not_empty CHECK ((entries >= 1)),
    CONSTRAINT ck_audit_seals_hash_length CHECK (((length(digest) = 64) AND (length(hash) = 64))),
    CONSTRAINT ck_audit_seals_marks_until_pruned CHECK (((marks IS NULL) = (pruned_at IS NOT NULL))),
    CONSTRAINT ck_audit_seals_number_counts_from_one CHECK ((number >= 1)),
    CONSTRAINT ck_audit_seals_range_in_order CHECK ((first_id <= last_id))
);



CREATE TABLE public.changes (
    number bigint NOT NULL,
    xact bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL,
    dag_name text,
    run_id text,
    root_name text,
    root_run_id text,
    attempt integer,
    status smallint,
    event integer,
    data text
);



CREATE SEQUENCE public.changes_number_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.changes_number_seq OWNED BY public.changes.number;



CREATE TABLE public.dag_retention (
    dag_id bigint NOT NULL,
    days integer,
    runs integer,
    log_bytes bigint,
    set_at timestamp with time zone NOT NULL,
    set_by text,
    CONSTRAINT ck_dag_retention_limits_from_minus_one CHECK (((days >= '-1'::integer) AND (runs >= '-1'::integer) AND (log_bytes >= '-1'::integer)))
);



CREATE TABLE public.dag_revisions (
    dag_id bigint NOT NULL,
    number integer NOT NULL,
    definition_hash text NOT NULL,
    author text,
    note text,
    saved_at timestamp with time zone NOT NULL
);



CREATE TABLE public.dag_settings (
    dag_id bigint NOT NULL,
    catchup text NOT NULL,
    catchup_window_seconds integer NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    updated_by text,
    CONSTRAINT ck_dag_settings_catchup_known CHECK ((catchup = ANY (ARRAY['none'::text, 'latest'::text, 'all'::text]))),
    CONSTRAINT ck_dag_settings_window_above_zero CHECK ((catchup_window_seconds > 0))
);



CREATE TABLE public.dags (
    id bigint NOT NULL,
    file_name text NOT NULL,
    dag_name text NOT NULL,
    definition_hash text NOT NULL,
    revision integer NOT NULL,
    suspended boolean NOT NULL,
    source_directory text,
    tags text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);



CREATE SEQUENCE public.dags_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.dags_id_seq OWNED BY public.dags.id;



CREATE TABLE public.definitions (
    hash text NOT NULL,
    spec text,
    base text,
    redacted_at timestamp with time zone,
    redacted_by text,
    created_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_definitions_redacted_by_somebody CHECK (((redacted_at IS NULL) = (redacted_by IS NULL))),
    CONSTRAINT ck_definitions_text_or_redacted CHECK (((spec IS NOT NULL) OR (redacted_at IS NOT NULL)))
);



CREATE TABLE public.log_chunks (
    run_id bigint NOT NULL,
    attempt integer NOT NULL,
    "position" integer NOT NULL,
    stream smallint NOT NULL,
    seq integer NOT NULL,
    ordinal integer NOT NULL,
    execution integer NOT NULL,
    received_at timestamp with time zone NOT NULL,
    first_line integer NOT NULL,
    line_count integer NOT NULL,
    byte_offset bigint NOT NULL,
    byte_count integer NOT NULL,
    text text NOT NULL,
    packed bytea,
    CONSTRAINT ck_log_chunks_sizes_not_negative CHECK (((line_count >= 0) AND (byte_count >= 0))),
    CONSTRAINT ck_log_chunks_stream_known CHECK ((stream = ANY (ARRAY[1, 2])))
);
ALTER TABLE ONLY public.log_chunks ALTER COLUMN packed SET STORAGE EXTERNAL;



CREATE TABLE public.nodes (
    run_id bigint NOT NULL,
    attempt integer NOT NULL,
    "position" integer NOT NULL,
    name text NOT NULL,
    handler boolean NOT NULL,
    status integer NOT NULL,
    execution integer DEFAULT 0 NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    executed_at timestamp with time zone,
    due_at timestamp with time zone,
    retried_at timestamp with time zone,
    retry_count integer DEFAULT 0 NOT NULL,
    done_count integer DEFAULT 0 NOT NULL,
    repeated boolean DEFAULT false NOT NULL,
    exit_code integer,
    error text DEFAULT ''::text NOT NULL,
    output_name text,
    output_value text,
    pid integer,
    pid_started bigint,
    spool text,
    detail text,
    shown text,
    edited_at timestamp with time zone,
    edited_by text,
    sub_runs text,
    output_sealed bytea,
    log_attempt integer,
    CONSTRAINT ck_nodes_edited_by_somebody CHECK (((edited_at IS NULL) = (edited_by IS NULL))),
    CONSTRAINT ck_nodes_finished_after_started CHECK ((finished_at >= started_at)),
    CONSTRAINT ck_nodes_finished_only_when_settled CHECK (((finished_at IS NULL) OR (status <> ALL (ARRAY[0, 1])) OR ((status = 0) AND (edited_at IS NOT NULL)))),
    CONSTRAINT ck_nodes_handlers_below_zero CHECK ((("position" >= '-5'::integer) AND (handler = ("position" < 0)))),
    CONSTRAINT ck_nodes_status_known CHECK (((status >= 0) AND (status <= 6)))
);



CREATE TABLE public.pgqueuer (
    id bigint NOT NULL,
    priority integer NOT NULL,
    queue_manager_id uuid,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    execute_after timestamp with time zone DEFAULT now() NOT NULL,
    status public.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL,
    dedupe_key text,
    payload bytea,
    headers jsonb,
    attempts integer DEFAULT 0 NOT NULL,
    slot bigint
);



CREATE SEQUENCE public.pgqueuer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.pgqueuer_id_seq OWNED BY public.pgqueuer.id;



CREATE TABLE public.pgqueuer_log (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    job_id bigint NOT NULL,
    status public.pgqueuer_status NOT NULL,
    priority integer NOT NULL,
    entrypoint text NOT NULL,
    traceback jsonb,
    aggregated boolean DEFAULT false
);



ALTER TABLE public.pgqueuer_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.pgqueuer_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);



CREATE TABLE public.pgqueuer_schedules (
    id bigint NOT NULL,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    heartbeat timestamp with time zone DEFAULT now() NOT NULL,
    created timestamp with time zone DEFAULT now() NOT NULL,
    updated timestamp with time zone DEFAULT now() NOT NULL,
    next_run timestamp with time zone DEFAULT now() NOT NULL,
    last_run timestamp with time zone,
    status public.pgqueuer_status DEFAULT 'queued'::public.pgqueuer_status
);



CREATE SEQUENCE public.pgqueuer_schedules_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.pgqueuer_schedules_id_seq OWNED BY public.pgqueuer_schedules.id;



CREATE TABLE public.pgqueuer_statistics (
    id bigint NOT NULL,
    created timestamp with time zone DEFAULT date_trunc('sec'::text, now()) NOT NULL,
    count bigint NOT NULL,
    priority integer NOT NULL,
    status public.pgqueuer_status NOT NULL,
    entrypoint text NOT NULL
);



CREATE SEQUENCE public.pgqueuer_statistics_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.pgqueuer_statistics_id_seq OWNED BY public.pgqueuer_statistics.id;



CREATE TABLE public.queue_entries (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    queue text NOT NULL,
    priority integer NOT NULL,
    queued_at timestamp with time zone NOT NULL,
    reason text,
    place bigint DEFAULT 0 NOT NULL,
    selector text,
    CONSTRAINT ck_queue_entries_priority_known CHECK (((priority >= '-1000'::integer) AND (priority <= 1000)))
);



CREATE SEQUENCE public.queue_entries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.queue_entries_id_seq OWNED BY public.queue_entries.id;



CREATE TABLE public.queue_pauses (
    queue text NOT NULL,
    paused_at timestamp with time zone NOT NULL,
    paused_by text
);



CREATE TABLE public.removals (
    run_id bigint NOT NULL,
    begun_at timestamp with time zone NOT NULL
);



CREATE TABLE public.run_attempts (
    run_id bigint NOT NULL,
    number integer NOT NULL,
    status integer NOT NULL,
    owner text,
    token integer NOT NULL,
    host text,
    state text,
    opened_at timestamp with time zone NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT ck_run_attempts_closed_only_when_over CHECK (((closed_at IS NULL) OR (status = ANY (ARRAY[2, 3, 4, 6])))),
    CONSTRAINT ck_run_attempts_counts_from_one CHECK ((number >= 1)),
    CONSTRAINT ck_run_attempts_status_known CHECK (((status >= 0) AND (status <= 6)))
);



CREATE TABLE public.run_errors (
    run_id bigint NOT NULL,
    text text NOT NULL,
    created_at timestamp with time zone NOT NULL
);



CREATE TABLE public.run_events (
    run_id bigint NOT NULL,
    seq integer NOT NULL,
    attempt integer NOT NULL,
    at timestamp with time zone NOT NULL,
    "position" integer,
    data text NOT NULL
);



CREATE TABLE public.run_inputs (
    run_id bigint NOT NULL,
    params text NOT NULL,
    env text NOT NULL,
    dotenv text NOT NULL,
    work_dir text NOT NULL,
    base_environment text,
    keep_dir boolean NOT NULL,
    sealed bytea,
    source_directory text
);



CREATE TABLE public.run_params (
    run_id bigint NOT NULL,
    "position" integer NOT NULL,
    name text NOT NULL,
    value text NOT NULL,
    created_at timestamp with time zone NOT NULL
);



CREATE TABLE public.run_requests (
    id bigint NOT NULL,
    run_id bigint NOT NULL,
    kind text NOT NULL,
    actor text,
    asked_at timestamp with time zone NOT NULL,
    handled_at timestamp with time zone,
    CONSTRAINT ck_run_requests_kind_known CHECK ((kind = ANY (ARRAY['stop'::text, 'kill'::text])))
);



CREATE SEQUENCE public.run_requests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.run_requests_id_seq OWNED BY public.run_requests.id;



CREATE TABLE public.run_tags (
    run_id bigint NOT NULL,
    tag text NOT NULL,
    created_at timestamp with time zone NOT NULL
);



CREATE TABLE public.runs (
    id bigint NOT NULL,
    dag_name text NOT NULL,
    run_id text NOT NULL,
    definition_hash text NOT NULL,
    file_name text,
    queue text NOT NULL,
    root_id bigint,
    parent_id bigint,
    trigger text NOT NULL,
    actor text,
    params text NOT NULL,
    params_text text NOT NULL,
    tags text NOT NULL,
    status integer NOT NULL,
    attempt integer NOT NULL,
    created_at timestamp with time zone NOT NULL,
    queued_at timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    stop_requested_at timestamp with time zone,
    stop_requested_by text,
    error text,
    max_active_runs integer NOT NULL,
    dag_revision integer,
    CONSTRAINT ck_runs_attempt_counts_from_one CHECK ((attempt >= 1)),
    CONSTRAINT ck_runs_child_has_root_and_parent CHECK (((root_id IS NULL) = (parent_id IS NULL))),
    CONSTRAINT ck_runs_finished_after_started CHECK ((finished_at >= started_at)),
    CONSTRAINT ck_runs_finished_only_when_over CHECK (((finished_at IS NULL) OR (status = ANY (ARRAY[2, 3, 4, 6])))),
    CONSTRAINT ck_runs_status_known CHECK (((status >= 0) AND (status <= 6)))
);



CREATE SEQUENCE public.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;



ALTER SEQUENCE public.runs_id_seq OWNED BY public.runs.id;



CREATE TABLE public.schedule_marks (
    id integer NOT NULL,
    minute timestamp with time zone NOT NULL,
    CONSTRAINT ck_schedule_marks_only_one CHECK ((id = 1))
);



CREATE TABLE public.schedule_slots (
    dag_id bigint NOT NULL,
    kind text NOT NULL,
    minute timestamp with time zone NOT NULL,
    file_name text NOT NULL,
    outcome text NOT NULL,
    reason text,
    run_id bigint,
    restarts bigint,
    made_up boolean NOT NULL,
    settled_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_schedule_slots_kind_known CHECK ((kind = ANY (ARRAY['start'::text, 'stop'::text, 'restart'::text]))),
    CONSTRAINT ck_schedule_slots_outcome_known CHECK ((outcome = ANY (ARRAY['started'::text, 'queued'::text, 'stopped'::text, 'restarting'::text, 'restarted'::text, 'skipped'::text, 'suspended'::text, 'missed'::text, 'failed'::text]))),
    CONSTRAINT ck_schedule_slots_run_only_when_begun CHECK (((run_id IS NULL) OR (outcome = ANY (ARRAY['started'::text, 'queued'::text, 'restarted'::text]))))
);



CREATE TABLE public.services (
    id text NOT NULL,
    kind text NOT NULL,
    host text NOT NULL,
    boot_id text NOT NULL,
    pid_namespace text NOT NULL,
    pid integer NOT NULL,
    pid_started bigint NOT NULL,
    address text NOT NULL,
    version text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    heartbeat_at timestamp with time zone NOT NULL,
    lease_until timestamp with time zone NOT NULL,
    stopped_at timestamp with time zone,
    name text,
    labels text,
    capacity integer,
    spool_id text,
    spool_dir text
);



CREATE TABLE public.tokens (
    id text NOT NULL,
    user_id text NOT NULL,
    name text NOT NULL,
    hash text NOT NULL,
    role text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    last_used_at timestamp with time zone,
    CONSTRAINT ck_tokens_expires_later CHECK ((expires_at > created_at)),
    CONSTRAINT ck_tokens_hash_length CHECK ((length(hash) = 64)),
    CONSTRAINT ck_tokens_name_length CHECK (((length(name) >= 1) AND (length(name) <= 64))),
    CONSTRAINT ck_tokens_role_known CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'manager'::text, 'admin'::text])))
);



CREATE TABLE public.users (
    id text NOT NULL,
    username text NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    generation integer NOT NULL,
    kept_token text,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL,
    CONSTRAINT ck_users_generation_counts CHECK ((generation > 0)),
    CONSTRAINT ck_users_role_known CHECK ((role = ANY (ARRAY['viewer'::text, 'operator'::text, 'manager'::text, 'admin'::text]))),
    CONSTRAINT ck_users_username_length CHECK (((length(username) >= 1) AND (length(username) <= 64)))
);



ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);



ALTER TABLE ONLY public.changes ALTER COLUMN number SET DEFAULT nextval('public.changes_number_seq'::regclass);



ALTER TABLE ONLY public.dags ALTER COLUMN id SET DEFAULT nextval('public.dags_id_seq'::regclass);



ALTER TABLE ONLY public.pgqueuer ALTER COLUMN id SET DEFAULT nextval('public.pgqueuer_id_seq'::regclass);



ALTER TABLE ONLY public.pgqueuer_schedules ALTER COLUMN id SET DEFAULT nextval('public.pgqueuer_schedules_id_seq'::regclass);



ALTER TABLE ONLY public.pgqueuer_statistics ALTER COLUMN id SET DEFAULT nextval('public.pgqueuer_statistics_id_seq'::regclass);



ALTER TABLE ONLY public.queue_entries ALTER COLUMN id SET DEFAULT nextval('public.queue_entries_id_seq'::regclass);



ALTER TABLE ONLY public.run_requests ALTER COLUMN id SET DEFAULT nextval('public.run_requests_id_seq'::regclass);



ALTER TABLE ONLY public.runs ALTER COLUMN id SET DEFAULT nextval('public.runs_id_seq'::regclass);



INSERT INTO public.alembic_version VALUES ('0100');



INSERT INTO public.audit VALUES (1, '2026-11-28 03:57:04.148487+00', 'root', 'cli', NULL, NULL, NULL, '', '', 'user.create', 'user', 'admin', NULL, '{"id":"a84baced-ccf4-4fcf-b083-fc47a1eeabe2","role":"admin"}', 'done');
INSERT INTO public.audit VALUES (2, '2026-11-28 03:57:07.189656+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', 'b1a7a1d84eeabd30', 'login.success', 'user', 'admin', NULL, NULL, 'done');
INSERT INTO public.audit VALUES (3, '2026-11-28 03:57:07.220663+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '856486e7164ddcaa', 'dag.create', 'dag', 'flow', NULL, '{"revision":1,"hash":"74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e"}', 'done');
INSERT INTO public.audit VALUES (4, '2026-11-28 03:57:07.277304+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '2de193653039aced', 'dag.create', 'dag', 'failing', NULL, '{"revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38"}', 'done');
INSERT INTO public.audit VALUES (5, '2026-11-28 03:57:07.320491+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '0522783b828f14d3', 'dag.update', 'dag', 'flow', '{"revision":1,"hash":"74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e"}', '{"revision":2,"hash":"2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5"}', 'done');
INSERT INTO public.audit VALUES (6, '2026-11-28 03:57:07.362389+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '31a4a41ac5aa6318', 'run.start', 'run', 'flow/first', NULL, '{"trigger":"api","dag":"flow","revision":2,"hash":"2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5"}', 'done');
INSERT INTO public.audit VALUES (7, '2026-11-28 03:57:07.767119+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '5e700b0f3e5a9fd5', 'run.start', 'run', 'failing/second', NULL, '{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38"}', 'done');
INSERT INTO public.audit VALUES (8, '2026-11-28 03:57:07.952672+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', 'e9dea4e0f5511323', 'run.retry', 'run', 'failing/second', '{"attempt":1,"status":"failed"}', '{"attempt":2}', 'done');
INSERT INTO public.audit VALUES (9, '2026-11-28 03:57:08.098548+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '327dd2dd1a5990b8', 'queue.pause', 'queue', 'failing', NULL, NULL, 'done');
INSERT INTO public.audit VALUES (10, '2026-11-28 03:57:08.148831+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', 'b456d7a062994566', 'run.enqueue', 'run', 'failing/waiting-0', NULL, '{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}', 'done');
INSERT INTO public.audit VALUES (11, '2026-11-28 03:57:08.184027+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '4a1cb54e6e213161', 'run.enqueue', 'run', 'failing/waiting-1', NULL, '{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}', 'done');
INSERT INTO public.audit VALUES (12, '2026-11-28 03:57:08.20831+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', '98e1678443e4e8a6', 'run.enqueue', 'run', 'failing/waiting-2', NULL, '{"trigger":"api","dag":"failing","revision":1,"hash":"6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38","queue":"failing"}', 'done');
INSERT INTO public.audit VALUES (13, '2026-11-28 03:57:08.826888+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', 'be80e3dc78bf151b', 'user.create', 'user', 'ann', NULL, '{"id":"8ccb588f-2870-4dd7-8db9-8c64214b5697","role":"operator"}', 'done');
INSERT INTO public.audit VALUES (14, '2026-11-28 03:57:08.856325+00', 'admin', 'login', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', NULL, NULL, '127.0.0.1', 'bf85f335330e391b', 'token.create', 'token', 'admin/ci', NULL, '{"id":"fa32691a-9783-4c81-81c8-e31910ee6136","role":"viewer","expiresAt":null}', 'done');



INSERT INTO public.audit_seals VALUES (1, 1, 14, 14, 'ecde8455238b1aa793516cb8e8b2e77cf58e736fa84d27827da2dbf094717e0b', '59aa8265129dd2b954fc272ca73b9ebe0fc1d66d3596b541f3d950cce4586952', '\x01651f37ed4d90ffe034a9048648c6f8dcd6cc6f64971492fe053b837965fe48139d6a0a6190ab8ed5b3aa01633e9f7e643261e65887f7fe5fe9e80ae3ef11a36fde62d0a7', '2026-11-28 03:58:00.391398+00', NULL, '\x000000000000000115e4ba5e1edcab220000000000000002a1189fe963afe9be0000000000000003356420d163f434cb00000000000000041df1e574bb4d9d1900000000000000052ba0ef021776816f000000000000000619e1b213e294998a00000000000000074a3d9ada3ee392dc00000000000000083bbddb60d6cfa18600000000000000097c263842e7e8e953000000000000000a21d1f0a635f73b2e000000000000000bfe6e8f76974e6950000000000000000c1cb5cacf860add9e000000000000000dde228b5b3c44048c000000000000000e77249eeabd25c92f');



INSERT INTO public.changes VALUES (1, 728, '2026-11-28 03:57:03.218261+00', 'begin', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.changes VALUES (2, 736, '2026-11-28 03:57:07.256426+00', 'dag', 'flow', NULL, NULL, NULL, NULL, NULL, NULL, '{"what":"created","file_name":"flow","revision":1}');
INSERT INTO public.changes VALUES (3, 738, '2026-11-28 03:57:07.289351+00', 'dag', 'failing', NULL, NULL, NULL, NULL, NULL, NULL, '{"what":"created","file_name":"failing","revision":1}');
INSERT INTO public.changes VALUES (4, 740, '2026-11-28 03:57:07.331727+00', 'dag', 'flow', NULL, NULL, NULL, NULL, NULL, NULL, '{"what":"saved","file_name":"flow","revision":2}');
INSERT INTO public.changes VALUES (5, 742, '2026-11-28 03:57:07.459785+00', 'run', 'flow', 'first', NULL, NULL, 1, 1, 3, NULL);
INSERT INTO public.changes VALUES (6, 744, '2026-11-28 03:57:07.545334+00', 'run', 'flow', 'first', NULL, NULL, 1, 1, 5, NULL);
INSERT INTO public.changes VALUES (7, 746, '2026-11-28 03:57:07.569699+00', 'run', 'flow', 'first', NULL, NULL, 1, 1, 8, NULL);
INSERT INTO public.changes VALUES (8, 748, '2026-11-28 03:57:07.590225+00', 'run', 'flow', 'first', NULL, NULL, 1, 1, 8, NULL);
INSERT INTO public.changes VALUES (9, 750, '2026-11-28 03:57:07.629802+00', 'run', 'report', '5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv', 'flow', 'first', 1, 1, 3, NULL);
INSERT INTO public.changes VALUES (10, 752, '2026-11-28 03:57:07.653702+00', 'run', 'report', '5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv', 'flow', 'first', 1, 4, 5, NULL);
INSERT INTO public.changes VALUES (11, 754, '2026-11-28 03:57:07.68261+00', 'run', 'flow', 'first', NULL, NULL, 1, 1, 11, NULL);
INSERT INTO public.changes VALUES (12, 756, '2026-11-28 03:57:07.707176+00', 'run', 'flow', 'first', NULL, NULL, 1, 6, 13, NULL);
INSERT INTO public.changes VALUES (13, 758, '2026-11-28 03:57:07.789675+00', 'run', 'failing', 'second', NULL, NULL, 1, 1, 3, NULL);
INSERT INTO public.changes VALUES (14, 760, '2026-11-28 03:57:07.83039+00', 'run', 'failing', 'second', NULL, NULL, 1, 1, 4, NULL);
INSERT INTO public.changes VALUES (15, 762, '2026-11-28 03:57:07.85588+00', 'run', 'failing', 'second', NULL, NULL, 1, 1, 5, NULL);
INSERT INTO public.changes VALUES (16, 764, '2026-11-28 03:57:07.874855+00', 'run', 'failing', 'second', NULL, NULL, 1, 2, 7, NULL);
INSERT INTO public.changes VALUES (17, 766, '2026-11-28 03:57:07.98183+00', 'run', 'failing', 'second', NULL, NULL, 2, 1, 10, NULL);
INSERT INTO public.changes VALUES (18, 768, '2026-11-28 03:57:08.021955+00', 'run', 'failing', 'second', NULL, NULL, 2, 1, 11, NULL);
INSERT INTO public.changes VALUES (19, 770, '2026-11-28 03:57:08.031521+00', 'run', 'failing', 'second', NULL, NULL, 2, 1, 12, NULL);
INSERT INTO public.changes VALUES (20, 772, '2026-11-28 03:57:08.070067+00', 'run', 'failing', 'second', NULL, NULL, 2, 2, 14, NULL);
INSERT INTO public.changes VALUES (21, 774, '2026-11-28 03:57:08.100752+00', 'queue', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"queue":"failing"}');
INSERT INTO public.changes VALUES (22, 776, '2026-11-28 03:57:08.164076+00', 'run', 'failing', 'waiting-0', NULL, NULL, 1, 5, 1, NULL);
INSERT INTO public.changes VALUES (23, 776, '2026-11-28 03:57:08.164328+00', 'queue', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"queue":"failing"}');
INSERT INTO public.changes VALUES (24, 778, '2026-11-28 03:57:08.192745+00', 'run', 'failing', 'waiting-1', NULL, NULL, 1, 5, 1, NULL);
INSERT INTO public.changes VALUES (25, 778, '2026-11-28 03:57:08.192956+00', 'queue', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"queue":"failing"}');
INSERT INTO public.changes VALUES (26, 780, '2026-11-28 03:57:08.216849+00', 'run', 'failing', 'waiting-2', NULL, NULL, 1, 5, 1, NULL);
INSERT INTO public.changes VALUES (27, 780, '2026-11-28 03:57:08.217062+00', 'queue', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"queue":"failing"}');
INSERT INTO public.changes VALUES (28, 784, '2026-11-28 03:57:09.212785+00', 'queue', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"queue":"failing"}');
INSERT INTO public.changes VALUES (29, 814, '2026-11-28 03:58:00.047402+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 1, 3, NULL);
INSERT INTO public.changes VALUES (30, 817, '2026-11-28 03:58:00.069779+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 1, 5, NULL);
INSERT INTO public.changes VALUES (31, 819, '2026-11-28 03:58:00.088306+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 1, 8, NULL);
INSERT INTO public.changes VALUES (32, 821, '2026-11-28 03:58:00.102731+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 1, 8, NULL);
INSERT INTO public.changes VALUES (33, 822, '2026-11-28 03:58:00.121429+00', 'run', 'report', '4E7YxmMeQ97cxaoKXsSaFJsJLdzNphMnBX8KifzZChgs', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', 1, 1, 3, NULL);
INSERT INTO public.changes VALUES (34, 825, '2026-11-28 03:58:00.148273+00', 'run', 'report', '4E7YxmMeQ97cxaoKXsSaFJsJLdzNphMnBX8KifzZChgs', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', 1, 4, 5, NULL);
INSERT INTO public.changes VALUES (35, 827, '2026-11-28 03:58:00.171354+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 1, 11, NULL);
INSERT INTO public.changes VALUES (36, 828, '2026-11-28 03:58:00.180147+00', 'run', 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', NULL, NULL, 1, 6, 13, NULL);






INSERT INTO public.dag_revisions VALUES (1, 1, '74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e', 'admin', NULL, '2026-11-28 03:57:07.220663+00');
INSERT INTO public.dag_revisions VALUES (2, 1, '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 'admin', NULL, '2026-11-28 03:57:07.277304+00');
INSERT INTO public.dag_revisions VALUES (1, 2, '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', 'admin', NULL, '2026-11-28 03:57:07.320491+00');






INSERT INTO public.dags VALUES (2, 'failing', 'failing', '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 1, false, NULL, '[]', '2026-11-28 03:57:07.277304+00', '2026-11-28 03:57:07.277304+00');
INSERT INTO public.dags VALUES (1, 'flow', 'flow', '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', 2, false, NULL, '["nightly"]', '2026-11-28 03:57:07.220663+00', '2026-11-28 03:57:07.320491+00');



INSERT INTO public.definitions VALUES ('74cafedd5f510e9a3c3be89614594838c63d124b21f65edd75689f50496cee4e', '
tags: [nightly]
params: [DAY=monday]
schedule: "* * * * *"
steps:
  - {name: read, command: "echo read $DAY", output: COUNT}
  - {name: flaky, command: "test $DAG_RUN_STEP_NAME = other", depends: read, continueOn: {failure: true}}
  - {name: report, call: report, params: "OF=$COUNT", depends: flaky}
handlerOn: {exit: {command: echo over}}
name: report
steps: [{name: print, command: "echo of $OF"}]
', NULL, NULL, NULL, '2026-11-28 03:57:07.220663+00');
INSERT INTO public.definitions VALUES ('6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', '
steps:
  - {name: fails, command: "echo no >&2; exit 3", retryPolicy: {limit: 1, intervalSec: 0}}
', NULL, NULL, NULL, '2026-11-28 03:57:07.277304+00');
INSERT INTO public.definitions VALUES ('2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', '
tags: [nightly]
params: [DAY=sunday]
schedule: "* * * * *"
steps:
  - {name: read, command: "echo read $DAY", output: COUNT}
  - {name: flaky, command: "test $DAG_RUN_STEP_NAME = other", depends: read, continueOn: {failure: true}}
  - {name: report, call: report, params: "OF=$COUNT", depends: flaky}
handlerOn: {exit: {command: echo over}}
name: report
steps: [{name: print, command: "echo of $OF"}]
', NULL, NULL, NULL, '2026-11-28 03:57:07.320491+00');



INSERT INTO public.log_chunks VALUES (7532291460373883883, 1, 0, 1, 0, 0, 1, '2026-11-28 03:57:07.485342+00', 1, 1, 0, 12, 'read friday
', NULL);
INSERT INTO public.log_chunks VALUES (7532291461366006474, 1, 0, 1, 0, 0, 1, '2026-11-28 03:57:07.649956+00', 1, 1, 0, 15, 'of read friday
', NULL);
INSERT INTO public.log_chunks VALUES (7532291460373883883, 1, 2, 1, 0, 0, 1, '2026-11-28 03:57:07.673204+00', 1, 7, 0, 157, '{
  "name": "report",
  "dagRunId": "5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv",
  "params": "OF=read friday",
  "outputs": {},
  "status": "succeeded"
}
', NULL);
INSERT INTO public.log_chunks VALUES (7532291460373883883, 1, -5, 1, 0, 0, 1, '2026-11-28 03:57:07.687639+00', 1, 1, 0, 5, 'over
', NULL);
INSERT INTO public.log_chunks VALUES (7532291462071742096, 1, 0, 2, 0, 0, 1, '2026-11-28 03:57:07.81599+00', 1, 1, 0, 3, 'no
', NULL);
INSERT INTO public.log_chunks VALUES (7532291462071742096, 1, 0, 2, 1, 1, 2, '2026-11-28 03:57:07.867788+00', 2, 1, 3, 3, 'no
', NULL);
INSERT INTO public.log_chunks VALUES (7532291462071742096, 2, 0, 2, 0, 0, 1, '2026-11-28 03:57:08.008932+00', 1, 1, 0, 3, 'no
', NULL);
INSERT INTO public.log_chunks VALUES (7532291462071742096, 2, 0, 2, 1, 1, 2, '2026-11-28 03:57:08.044542+00', 2, 1, 3, 3, 'no
', NULL);
INSERT INTO public.log_chunks VALUES (7532291681255061856, 1, 0, 1, 0, 0, 1, '2026-11-28 03:58:00.059084+00', 1, 1, 0, 12, 'read sunday
', NULL);
INSERT INTO public.log_chunks VALUES (7532291681612505161, 1, 0, 1, 0, 0, 1, '2026-11-28 03:58:00.137276+00', 1, 1, 0, 15, 'of read sunday
', NULL);
INSERT INTO public.log_chunks VALUES (7532291681255061856, 1, 2, 1, 0, 0, 1, '2026-11-28 03:58:00.157179+00', 1, 7, 0, 157, '{
  "name": "report",
  "dagRunId": "4E7YxmMeQ97cxaoKXsSaFJsJLdzNphMnBX8KifzZChgs",
  "params": "OF=read sunday",
  "outputs": {},
  "status": "succeeded"
}
', NULL);
INSERT INTO public.log_chunks VALUES (7532291681255061856, 1, -5, 1, 0, 0, 1, '2026-11-28 03:58:00.176246+00', 1, 1, 0, 5, 'over
', NULL);



INSERT INTO public.nodes VALUES (7532291681255061856, 1, -5, 'onExit', true, 4, 1, '2026-11-28 03:58:00.156986+00', '2026-11-28 03:58:00.176149+00', '2026-11-28 03:58:00.172767+00', NULL, NULL, 0, 0, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291681255061856_1_-5-onExit.1', NULL, '{"command":"echo","args":["over"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291460373883883, 1, 0, 'read', false, 4, 1, '2026-11-28 03:57:07.362532+00', '2026-11-28 03:57:07.485125+00', '2026-11-28 03:57:07.482861+00', NULL, NULL, 0, 1, false, 0, '', 'COUNT', 'read friday', NULL, NULL, '/srv/dagbook-release/spool/7532291460373883883_1_0-read.1', NULL, '{"command":"echo","args":["read","friday"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291460373883883, 1, 1, 'flaky', false, 2, 1, '2026-11-28 03:57:07.485125+00', '2026-11-28 03:57:07.554592+00', '2026-11-28 03:57:07.551663+00', NULL, NULL, 0, 1, false, 1, 'exit status 1', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291460373883883_1_1-flaky.1', '{"tolerated":true}', '{"command":"test","args":["flaky","=","other"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291461366006474, 1, 0, 'print', false, 4, 1, '2026-11-28 03:57:07.600131+00', '2026-11-28 03:57:07.649801+00', '2026-11-28 03:57:07.641584+00', NULL, NULL, 0, 1, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291461366006474_1_0-print.1', NULL, '{"command":"echo","args":["of","read friday"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291460373883883, 1, 2, 'report', false, 4, 1, '2026-11-28 03:57:07.554592+00', '2026-11-28 03:57:07.672944+00', '2026-11-28 03:57:07.588828+00', NULL, NULL, 0, 1, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291460373883883_1_2-report.1', NULL, '{"command":"call","args":["report","OF=\"read friday\""]}', NULL, NULL, '{"execution":1,"called":"report","retries":0,"salt":"","current":[{"id":"5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv","name":"report","params":"OF=\"read friday\""}],"earlier":[]}', NULL, NULL);
INSERT INTO public.nodes VALUES (7532291460373883883, 1, -5, 'onExit', true, 4, 1, '2026-11-28 03:57:07.672944+00', '2026-11-28 03:57:07.687489+00', '2026-11-28 03:57:07.683913+00', NULL, NULL, 0, 0, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291460373883883_1_-5-onExit.1', NULL, '{"command":"echo","args":["over"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291462071742096, 1, 0, 'fails', false, 2, 2, '2026-11-28 03:57:07.767645+00', '2026-11-28 03:57:07.867587+00', '2026-11-28 03:57:07.861932+00', NULL, '2026-11-28 03:57:07.836171+00', 1, 1, false, 3, 'exit status 3
last of stderr:
no
no', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291462071742096_1_0-fails.2', NULL, '{"command":"echo","args":["no",">&2;","exit","3"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291462071742096, 2, 0, 'fails', false, 2, 2, '2026-11-28 03:57:07.952943+00', '2026-11-28 03:57:08.044384+00', '2026-11-28 03:57:08.032609+00', NULL, '2026-11-28 03:57:08.023289+00', 1, 1, false, 3, 'exit status 3
last of stderr:
no
no', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291462071742096_2_0-fails.2', NULL, '{"command":"echo","args":["no",">&2;","exit","3"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291463677854470, 1, 0, 'fails', false, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, false, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291463824420268, 1, 0, 'fails', false, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, false, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291463925857228, 1, 0, 'fails', false, 0, 0, NULL, NULL, NULL, NULL, NULL, 0, 0, false, NULL, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291681255061856, 1, 0, 'read', false, 4, 1, '2026-11-28 03:58:00.024795+00', '2026-11-28 03:58:00.058895+00', '2026-11-28 03:58:00.051256+00', NULL, NULL, 0, 1, false, 0, '', 'COUNT', 'read sunday', NULL, NULL, '/srv/dagbook-release/spool/7532291681255061856_1_0-read.1', NULL, '{"command":"echo","args":["read","sunday"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291681255061856, 1, 1, 'flaky', false, 2, 1, '2026-11-28 03:58:00.058895+00', '2026-11-28 03:58:00.08105+00', '2026-11-28 03:58:00.072773+00', NULL, NULL, 0, 1, false, 1, 'exit status 1', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291681255061856_1_1-flaky.1', '{"tolerated":true}', '{"command":"test","args":["flaky","=","other"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291681612505161, 1, 0, 'print', false, 4, 1, '2026-11-28 03:58:00.109205+00', '2026-11-28 03:58:00.137152+00', '2026-11-28 03:58:00.132018+00', NULL, NULL, 0, 1, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291681612505161_1_0-print.1', NULL, '{"command":"echo","args":["of","read sunday"]}', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.nodes VALUES (7532291681255061856, 1, 2, 'report', false, 4, 1, '2026-11-28 03:58:00.08105+00', '2026-11-28 03:58:00.156986+00', '2026-11-28 03:58:00.099989+00', NULL, NULL, 0, 1, false, 0, '', NULL, NULL, NULL, NULL, '/srv/dagbook-release/spool/7532291681255061856_1_2-report.1', NULL, '{"command":"call","args":["report","OF=\"read sunday\""]}', NULL, NULL, '{"execution":1,"called":"report","retries":0,"salt":"","current":[{"id":"4E7YxmMeQ97cxaoKXsSaFJsJLdzNphMnBX8KifzZChgs","name":"report","params":"OF=\"read sunday\""}],"earlier":[]}', NULL, NULL);















INSERT INTO public.queue_entries VALUES (2, 7532291463824420268, 'failing', 0, '2026-11-28 03:57:08.184027+00', NULL, 0, NULL);
INSERT INTO public.queue_entries VALUES (3, 7532291463925857228, 'failing', 0, '2026-11-28 03:57:08.20831+00', NULL, 0, NULL);
INSERT INTO public.queue_entries VALUES (1, 7532291463677854470, 'failing', 0, '2026-11-28 03:57:08.148831+00', 'queue ''failing'' is paused since 2026-11-28T03:57:08Z by admin', 0, NULL);



INSERT INTO public.queue_pauses VALUES ('failing', '2026-11-28 03:57:08.098548+00', 'admin');






INSERT INTO public.run_attempts VALUES (7532291461366006474, 1, 4, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","outcome":4}', '2026-11-28 03:57:07.597465+00', '2026-11-28 03:57:07.649801+00');
INSERT INTO public.run_attempts VALUES (7532291460373883883, 1, 6, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","error_key":1,"outcome":6}', '2026-11-28 03:57:07.362389+00', '2026-11-28 03:57:07.687489+00');
INSERT INTO public.run_attempts VALUES (7532291462071742096, 1, 2, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","error_key":0,"outcome":2}', '2026-11-28 03:57:07.767119+00', '2026-11-28 03:57:07.867587+00');
INSERT INTO public.run_attempts VALUES (7532291462071742096, 2, 2, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","error_key":0,"outcome":2}', '2026-11-28 03:57:07.952672+00', '2026-11-28 03:57:08.044384+00');
INSERT INTO public.run_attempts VALUES (7532291463677854470, 1, 5, NULL, 0, NULL, NULL, '2026-11-28 03:57:08.148831+00', NULL);
INSERT INTO public.run_attempts VALUES (7532291463824420268, 1, 5, NULL, 0, NULL, NULL, '2026-11-28 03:57:08.184027+00', NULL);
INSERT INTO public.run_attempts VALUES (7532291463925857228, 1, 5, NULL, 0, NULL, NULL, '2026-11-28 03:57:08.20831+00', NULL);
INSERT INTO public.run_attempts VALUES (7532291681612505161, 1, 4, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","outcome":4}', '2026-11-28 03:58:00.109086+00', '2026-11-28 03:58:00.137152+00');
INSERT INTO public.run_attempts VALUES (7532291681255061856, 1, 6, 'dagbook-18477-3512264-e582abdd', 1, 'e582abdd-6cf7-441a-8975-b47c1fc12aff:4026531836', '{"phase":"closed","error_key":1,"outcome":6}', '2026-11-28 03:58:00.024667+00', '2026-11-28 03:58:00.176149+00');



INSERT INTO public.run_errors VALUES (7532291460373883883, 'exit status 1', '2026-11-28 03:57:07.362389+00');
INSERT INTO public.run_errors VALUES (7532291462071742096, 'exit status 3
last of stderr:
no
no', '2026-11-28 03:57:07.767119+00');
INSERT INTO public.run_errors VALUES (7532291681255061856, 'exit status 1', '2026-11-28 03:58:00.024667+00');



INSERT INTO public.run_events VALUES (7532291460373883883, 1, 1, '2026-11-28 03:57:07.362389+00', NULL, '{"accepted":"api","actor":"admin"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 2, 1, '2026-11-28 03:57:07.362654+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:07.362532Z"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 3, 1, '2026-11-28 03:57:07.362654+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.362532Z"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 4, 1, '2026-11-28 03:57:07.485295+00', 0, '{"status":4,"finished_at":"2026-11-28T03:57:07.485125Z","executed_at":"2026-11-28T03:57:07.482861Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291460373883883, 5, 1, '2026-11-28 03:57:07.485295+00', 1, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.485125Z"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 6, 1, '2026-11-28 03:57:07.55475+00', NULL, '{"error":"exit status 1","error_key":1}');
INSERT INTO public.run_events VALUES (7532291460373883883, 7, 1, '2026-11-28 03:57:07.55475+00', 1, '{"status":2,"finished_at":"2026-11-28T03:57:07.554592Z","executed_at":"2026-11-28T03:57:07.551663Z","done_count":1,"exit_code":1,"error":"exit status 1","tolerated":true}');
INSERT INTO public.run_events VALUES (7532291460373883883, 8, 1, '2026-11-28 03:57:07.55475+00', 2, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.554592Z"}');
INSERT INTO public.run_events VALUES (7532291461366006474, 1, 1, '2026-11-28 03:57:07.597465+00', NULL, '{"accepted":"subdag"}');
INSERT INTO public.run_events VALUES (7532291461366006474, 2, 1, '2026-11-28 03:57:07.600271+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:07.600131Z"}');
INSERT INTO public.run_events VALUES (7532291461366006474, 3, 1, '2026-11-28 03:57:07.600271+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.600131Z"}');
INSERT INTO public.run_events VALUES (7532291461366006474, 4, 1, '2026-11-28 03:57:07.649917+00', 0, '{"status":4,"finished_at":"2026-11-28T03:57:07.649801Z","executed_at":"2026-11-28T03:57:07.641584Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291461366006474, 5, 1, '2026-11-28 03:57:07.649917+00', NULL, '{"status":4,"phase":"closed","outcome":4,"finished_at":"2026-11-28T03:57:07.649801Z"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 9, 1, '2026-11-28 03:57:07.673159+00', NULL, '{"phase":"exit","outcome":6}');
INSERT INTO public.run_events VALUES (7532291460373883883, 10, 1, '2026-11-28 03:57:07.673159+00', 2, '{"status":4,"finished_at":"2026-11-28T03:57:07.672944Z","executed_at":"2026-11-28T03:57:07.588828Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291460373883883, 11, 1, '2026-11-28 03:57:07.673159+00', -5, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.672944Z"}');
INSERT INTO public.run_events VALUES (7532291460373883883, 12, 1, '2026-11-28 03:57:07.687562+00', -5, '{"status":4,"finished_at":"2026-11-28T03:57:07.687489Z","executed_at":"2026-11-28T03:57:07.683913Z","exit_code":0}');
INSERT INTO public.run_events VALUES (7532291460373883883, 13, 1, '2026-11-28 03:57:07.687562+00', NULL, '{"status":6,"phase":"closed","finished_at":"2026-11-28T03:57:07.687489Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 1, 1, '2026-11-28 03:57:07.767119+00', NULL, '{"accepted":"api","actor":"admin"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 2, 1, '2026-11-28 03:57:07.767753+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:07.767645Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 3, 1, '2026-11-28 03:57:07.767753+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.767645Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 4, 1, '2026-11-28 03:57:07.815943+00', 0, '{"executed_at":"2026-11-28T03:57:07.798023Z","due_at":"2026-11-28T03:57:07.815846Z","retry_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 5, 1, '2026-11-28 03:57:07.836294+00', 0, '{"execution":2,"executed_at":null,"due_at":null,"retried_at":"2026-11-28T03:57:07.836171Z","exit_code":null,"error":""}');
INSERT INTO public.run_events VALUES (7532291462071742096, 6, 1, '2026-11-28 03:57:07.867749+00', 0, '{"status":2,"finished_at":"2026-11-28T03:57:07.867587Z","executed_at":"2026-11-28T03:57:07.861932Z","done_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno\nno"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 7, 1, '2026-11-28 03:57:07.867749+00', NULL, '{"status":2,"phase":"closed","error":"exit status 3\nlast of stderr:\nno\nno","error_key":0,"outcome":2,"finished_at":"2026-11-28T03:57:07.867587Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 8, 2, '2026-11-28 03:57:07.952672+00', NULL, '{"accepted":"retry","actor":"admin"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 9, 2, '2026-11-28 03:57:07.953027+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:57:07.952943Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 10, 2, '2026-11-28 03:57:07.953027+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:57:07.952943Z"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 11, 2, '2026-11-28 03:57:08.008895+00', 0, '{"executed_at":"2026-11-28T03:57:07.991724Z","due_at":"2026-11-28T03:57:08.008824Z","retry_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 12, 2, '2026-11-28 03:57:08.023366+00', 0, '{"execution":2,"executed_at":null,"due_at":null,"retried_at":"2026-11-28T03:57:08.023289Z","exit_code":null,"error":""}');
INSERT INTO public.run_events VALUES (7532291462071742096, 13, 2, '2026-11-28 03:57:08.044506+00', 0, '{"status":2,"finished_at":"2026-11-28T03:57:08.044384Z","executed_at":"2026-11-28T03:57:08.032609Z","done_count":1,"exit_code":3,"error":"exit status 3\nlast of stderr:\nno\nno"}');
INSERT INTO public.run_events VALUES (7532291462071742096, 14, 2, '2026-11-28 03:57:08.044506+00', NULL, '{"status":2,"phase":"closed","error":"exit status 3\nlast of stderr:\nno\nno","error_key":0,"outcome":2,"finished_at":"2026-11-28T03:57:08.044384Z"}');
INSERT INTO public.run_events VALUES (7532291463677854470, 1, 1, '2026-11-28 03:57:08.148831+00', NULL, '{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO public.run_events VALUES (7532291463824420268, 1, 1, '2026-11-28 03:57:08.184027+00', NULL, '{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO public.run_events VALUES (7532291463925857228, 1, 1, '2026-11-28 03:57:08.20831+00', NULL, '{"accepted":"api","actor":"admin","queue":"failing"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 1, 1, '2026-11-28 03:58:00.024667+00', NULL, '{"accepted":"schedule"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 2, 1, '2026-11-28 03:58:00.024906+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:58:00.024795Z"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 3, 1, '2026-11-28 03:58:00.024906+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:58:00.024795Z"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 4, 1, '2026-11-28 03:58:00.059039+00', 0, '{"status":4,"finished_at":"2026-11-28T03:58:00.058895Z","executed_at":"2026-11-28T03:58:00.051256Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291681255061856, 5, 1, '2026-11-28 03:58:00.059039+00', 1, '{"status":1,"execution":1,"started_at":"2026-11-28T03:58:00.058895Z"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 6, 1, '2026-11-28 03:58:00.081194+00', NULL, '{"error":"exit status 1","error_key":1}');
INSERT INTO public.run_events VALUES (7532291681255061856, 7, 1, '2026-11-28 03:58:00.081194+00', 1, '{"status":2,"finished_at":"2026-11-28T03:58:00.081050Z","executed_at":"2026-11-28T03:58:00.072773Z","done_count":1,"exit_code":1,"error":"exit status 1","tolerated":true}');
INSERT INTO public.run_events VALUES (7532291681255061856, 8, 1, '2026-11-28 03:58:00.081194+00', 2, '{"status":1,"execution":1,"started_at":"2026-11-28T03:58:00.081050Z"}');
INSERT INTO public.run_events VALUES (7532291681612505161, 1, 1, '2026-11-28 03:58:00.109086+00', NULL, '{"accepted":"subdag"}');
INSERT INTO public.run_events VALUES (7532291681612505161, 2, 1, '2026-11-28 03:58:00.109284+00', NULL, '{"status":1,"phase":"steps","started_at":"2026-11-28T03:58:00.109205Z"}');
INSERT INTO public.run_events VALUES (7532291681612505161, 3, 1, '2026-11-28 03:58:00.109284+00', 0, '{"status":1,"execution":1,"started_at":"2026-11-28T03:58:00.109205Z"}');
INSERT INTO public.run_events VALUES (7532291681612505161, 4, 1, '2026-11-28 03:58:00.137241+00', 0, '{"status":4,"finished_at":"2026-11-28T03:58:00.137152Z","executed_at":"2026-11-28T03:58:00.132018Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291681612505161, 5, 1, '2026-11-28 03:58:00.137241+00', NULL, '{"status":4,"phase":"closed","outcome":4,"finished_at":"2026-11-28T03:58:00.137152Z"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 9, 1, '2026-11-28 03:58:00.157138+00', NULL, '{"phase":"exit","outcome":6}');
INSERT INTO public.run_events VALUES (7532291681255061856, 10, 1, '2026-11-28 03:58:00.157138+00', 2, '{"status":4,"finished_at":"2026-11-28T03:58:00.156986Z","executed_at":"2026-11-28T03:58:00.099989Z","done_count":1,"exit_code":0}');
INSERT INTO public.run_events VALUES (7532291681255061856, 11, 1, '2026-11-28 03:58:00.157138+00', -5, '{"status":1,"execution":1,"started_at":"2026-11-28T03:58:00.156986Z"}');
INSERT INTO public.run_events VALUES (7532291681255061856, 12, 1, '2026-11-28 03:58:00.176209+00', -5, '{"status":4,"finished_at":"2026-11-28T03:58:00.176149Z","executed_at":"2026-11-28T03:58:00.172767Z","exit_code":0}');
INSERT INTO public.run_events VALUES (7532291681255061856, 13, 1, '2026-11-28 03:58:00.176209+00', NULL, '{"status":6,"phase":"closed","finished_at":"2026-11-28T03:58:00.176149Z"}');



INSERT INTO public.run_inputs VALUES (7532291460373883883, '[["DAY","friday"]]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291461366006474, '[["OF","read friday"]]', '[]', '[]', '/srv/dagbook-release/work', '{"HOME":"/srv/dagbook-release","PATH":"/usr/bin:/bin","LANG":"C.UTF-8","SHELL":"/bin/sh","DAY":"friday","DAG_NAME":"flow","DAG_RUN_ID":"first","DAG_RUN_LOG_FILE":"/srv/dagbook-release/spool/7532291460373883883_1_run.log"}', true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291462071742096, '[]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291463677854470, '[]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291463824420268, '[]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291463925857228, '[]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291681255061856, '[["DAY","sunday"]]', '[]', '[]', '/srv/dagbook-release/work', NULL, true, NULL, NULL);
INSERT INTO public.run_inputs VALUES (7532291681612505161, '[["OF","read sunday"]]', '[]', '[]', '/srv/dagbook-release/work', '{"HOME":"/srv/dagbook-release","PATH":"/usr/bin:/bin","LANG":"C.UTF-8","SHELL":"/bin/sh","DAY":"sunday","DAG_NAME":"flow","DAG_RUN_ID":"01a2204d-8157-77d3-9ac5-44313d22b488","DAG_RUN_LOG_FILE":"/srv/dagbook-release/spool/7532291681255061856_1_run.log"}', true, NULL, NULL);



INSERT INTO public.run_params VALUES (7532291460373883883, 0, 'DAY', 'friday', '2026-11-28 03:57:07.362389+00');
INSERT INTO public.run_params VALUES (7532291461366006474, 0, 'OF', 'read friday', '2026-11-28 03:57:07.597465+00');
INSERT INTO public.run_params VALUES (7532291681255061856, 0, 'DAY', 'sunday', '2026-11-28 03:58:00.024667+00');
INSERT INTO public.run_params VALUES (7532291681612505161, 0, 'OF', 'read sunday', '2026-11-28 03:58:00.109086+00');






INSERT INTO public.run_tags VALUES (7532291460373883883, 'nightly', '2026-11-28 03:57:07.362389+00');
INSERT INTO public.run_tags VALUES (7532291681255061856, 'nightly', '2026-11-28 03:58:00.024667+00');



INSERT INTO public.runs VALUES (7532291461366006474, 'report', '5e2yxbWDpeHxayVi2h9JzBT2CwnToBgB5tNT3kqBBRvv', '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', NULL, 'report', 7532291460373883883, 7532291460373883883, 'subdag', NULL, '[["OF","read friday"]]', 'OF=read friday', '[]', 4, 1, '2026-11-28 03:57:07.597465+00', NULL, '2026-11-28 03:57:07.600131+00', '2026-11-28 03:57:07.649801+00', NULL, NULL, NULL, 1, NULL);
INSERT INTO public.runs VALUES (7532291460373883883, 'flow', 'first', '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', 'flow', 'flow', NULL, NULL, 'api', 'admin', '[["DAY","friday"]]', 'DAY=friday', '["nightly"]', 6, 1, '2026-11-28 03:57:07.362389+00', NULL, '2026-11-28 03:57:07.362532+00', '2026-11-28 03:57:07.687489+00', NULL, NULL, 'exit status 1', 1, 2);
INSERT INTO public.runs VALUES (7532291462071742096, 'failing', 'second', '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 'failing', 'failing', NULL, NULL, 'api', 'admin', '[]', '', '[]', 2, 2, '2026-11-28 03:57:07.767119+00', NULL, '2026-11-28 03:57:07.952943+00', '2026-11-28 03:57:08.044384+00', NULL, NULL, 'exit status 3
last of stderr:
no
no', 1, 1);
INSERT INTO public.runs VALUES (7532291463677854470, 'failing', 'waiting-0', '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 'failing', 'failing', NULL, NULL, 'api', 'admin', '[]', '', '[]', 5, 1, '2026-11-28 03:57:08.148831+00', '2026-11-28 03:57:08.148831+00', NULL, NULL, NULL, NULL, NULL, 1, 1);
INSERT INTO public.runs VALUES (7532291463824420268, 'failing', 'waiting-1', '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 'failing', 'failing', NULL, NULL, 'api', 'admin', '[]', '', '[]', 5, 1, '2026-11-28 03:57:08.184027+00', '2026-11-28 03:57:08.184027+00', NULL, NULL, NULL, NULL, NULL, 1, 1);
INSERT INTO public.runs VALUES (7532291463925857228, 'failing', 'waiting-2', '6c6909689d7d37fff6fa7e4eb0c7a47fa11faa866e75a4304aea374602fd3e38', 'failing', 'failing', NULL, NULL, 'api', 'admin', '[]', '', '[]', 5, 1, '2026-11-28 03:57:08.20831+00', '2026-11-28 03:57:08.20831+00', NULL, NULL, NULL, NULL, NULL, 1, 1);
INSERT INTO public.runs VALUES (7532291681612505161, 'report', '4E7YxmMeQ97cxaoKXsSaFJsJLdzNphMnBX8KifzZChgs', '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', NULL, 'report', 7532291681255061856, 7532291681255061856, 'subdag', NULL, '[["OF","read sunday"]]', 'OF=read sunday', '[]', 4, 1, '2026-11-28 03:58:00.109086+00', NULL, '2026-11-28 03:58:00.109205+00', '2026-11-28 03:58:00.137152+00', NULL, NULL, NULL, 1, NULL);
INSERT INTO public.runs VALUES (7532291681255061856, 'flow', '01a2204d-8157-77d3-9ac5-44313d22b488', '2e80c42e582f429ac4ed28ad760dc53147af4460fc91bf3d0cf98d9b02f557f5', 'flow', 'flow', NULL, NULL, 'schedule', NULL, '[["DAY","sunday"]]', 'DAY=sunday', '["nightly"]', 6, 1, '2026-11-28 03:58:00.024667+00', NULL, '2026-11-28 03:58:00.024795+00', '2026-11-28 03:58:00.176149+00', NULL, NULL, 'exit status 1', 1, 2);



INSERT INTO public.schedule_marks VALUES (1, '2026-11-28 03:58:00+00');



INSERT INTO public.schedule_slots VALUES (1, 'start', '2026-11-28 03:58:00+00', 'flow', 'started', NULL, 7532291681255061856, NULL, false, '2026-11-28 03:58:00.024667+00');



INSERT INTO public.services VALUES ('dagbook-18477-3512264-e582abdd-scheduler', 'scheduler', 'dagbook', 'e582abdd-6cf7-441a-8975-b47c1fc12aff', '4026531836', 18477, 3512264, 'http://127.0.0.1:33179', '0.1.0', '2026-11-28 03:57:03.416028+00', '2026-11-28 03:58:00.355994+00', '2026-11-28 03:58:00.355994+00', '2026-11-28 03:58:00.355994+00', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.services VALUES ('dagbook-18477-3512264-e582abdd', 'server', 'dagbook', 'e582abdd-6cf7-441a-8975-b47c1fc12aff', '4026531836', 18477, 3512264, 'http://127.0.0.1:33179', '0.1.0', '2026-11-28 03:57:03.224168+00', '2026-11-28 03:58:00.358602+00', '2026-11-28 04:13:00.358602+00', '2026-11-28 03:58:00.358602+00', NULL, NULL, NULL, '53a955283b74943d0dc044eb047ea6d4', '/srv/dagbook-release/spool');



INSERT INTO public.tokens VALUES ('fa32691a-9783-4c81-81c8-e31910ee6136', 'a84baced-ccf4-4fcf-b083-fc47a1eeabe2', 'ci', '7a131987e07023a6c82487caa54390dc6e4b2d77823ee978d0e7c3e54811071c', 'viewer', '2026-11-28 03:57:08.856325+00', NULL, NULL, NULL);



INSERT INTO public.users VALUES ('a84baced-ccf4-4fcf-b083-fc47a1eeabe2', 'admin', 'admin', '$2b$12$HgpRbwiVEKgy5Q3g5SMYxOMhjwRF2n2mCGiiWf8iVm6FwdJSgPgte', 1, NULL, '2026-11-28 03:57:04.148487+00', '2026-11-28 03:57:04.148487+00');
INSERT INTO public.users VALUES ('8ccb588f-2870-4dd7-8db9-8c64214b5697', 'ann', 'operator', '$2b$12$bCkv8x1utn/H0Bue3al8OuXnoTi1shw7FxLkL49QGfoRKgdEsfsny', 1, NULL, '2026-11-28 03:57:08.826888+00', '2026-11-28 03:57:08.826888+00');



SELECT pg_catalog.setval('public.audit_id_seq', 14, true);



SELECT pg_catalog.setval('public.changes_number_seq', 36, true);



SELECT pg_catalog.setval('public.dags_id_seq', 2, true);



SELECT pg_catalog.setval('public.pgqueuer_id_seq', 1, false);



SELECT pg_catalog.setval('public.pgqueuer_log_id_seq', 1, false);



SELECT pg_catalog.setval('public.pgqueuer_schedules_id_seq', 1, false);



SELECT pg_catalog.setval('public.pgqueuer_statistics_id_seq', 1, false);



SELECT pg_catalog.setval('public.queue_entries_id_seq', 3, true);



SELECT pg_catalog.setval('public.run_requests_id_seq', 1, false);



SELECT pg_catalog.setval('public.runs_id_seq', 1, false);



ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);



ALTER TABLE ONLY public.pgqueuer_log
    ADD CONSTRAINT pgqueuer_log_pkey PRIMARY KEY (id);



ALTER TABLE ONLY public.pgqueuer
    ADD CONSTRAINT pgqueuer_pkey PRIMARY KEY (id);



ALTER TABLE ONLY public.pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_expression_entrypoint_key UNIQUE (expression, entrypoint);



ALTER TABLE ONLY public.pgqueuer_schedules
    ADD CONSTRAINT pgqueuer_schedules_pkey PRIMARY KEY (id);



ALTER TABLE ONLY public.pgqueuer_statistics
    ADD CONSTRAINT pgqueuer_statistics_pkey PRIMARY KEY (id);



ALTER TABLE ONLY public.audit
    ADD CONSTRAINT pk_audit PRIMARY KEY (id);



ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT pk_audit_seals PRIMARY KEY (number);



ALTER TABLE ONLY public.changes
    ADD CONSTRAINT pk_changes PRIMARY KEY (number);



ALTER TABLE ONLY public.dag_retention
    ADD CONSTRAINT pk_dag_retention PRIMARY KEY (dag_id);



ALTER TABLE ONLY public.dag_revisions
    ADD CONSTRAINT pk_dag_revisions PRIMARY KEY (dag_id, number);



ALTER TABLE ONLY public.dag_settings
    ADD CONSTRAINT pk_dag_settings PRIMARY KEY (dag_id);



ALTER TABLE ONLY public.dags
    ADD CONSTRAINT pk_dags PRIMARY KEY (id);



ALTER TABLE ONLY public.definitions
    ADD CONSTRAINT pk_definitions PRIMARY KEY (hash);



ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT pk_log_chunks PRIMARY KEY (run_id, attempt, "position", stream, seq);



ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT pk_nodes PRIMARY KEY (run_id, attempt, "position");



ALTER TABLE ONLY public.queue_entries
    ADD CONSTRAINT pk_queue_entries PRIMARY KEY (id);



ALTER TABLE ONLY public.queue_pauses
    ADD CONSTRAINT pk_queue_pauses PRIMARY KEY (queue);



ALTER TABLE ONLY public.removals
    ADD CONSTRAINT pk_removals PRIMARY KEY (run_id);



ALTER TABLE ONLY public.run_attempts
    ADD CONSTRAINT pk_run_attempts PRIMARY KEY (run_id, number);



ALTER TABLE ONLY public.run_errors
    ADD CONSTRAINT pk_run_errors PRIMARY KEY (run_id);



ALTER TABLE ONLY public.run_events
    ADD CONSTRAINT pk_run_events PRIMARY KEY (run_id, seq);



ALTER TABLE ONLY public.run_inputs
    ADD CONSTRAINT pk_run_inputs PRIMARY KEY (run_id);



ALTER TABLE ONLY public.run_params
    ADD CONSTRAINT pk_run_params PRIMARY KEY (run_id, "position");



ALTER TABLE ONLY public.run_requests
    ADD CONSTRAINT pk_run_requests PRIMARY KEY (id);



ALTER TABLE ONLY public.run_tags
    ADD CONSTRAINT pk_run_tags PRIMARY KEY (run_id, tag);



ALTER TABLE ONLY public.runs
    ADD CONSTRAINT pk_runs PRIMARY KEY (id);



ALTER TABLE ONLY public.schedule_marks
    ADD CONSTRAINT pk_schedule_marks PRIMARY KEY (id);



ALTER TABLE ONLY public.schedule_slots
    ADD CONSTRAINT pk_schedule_slots PRIMARY KEY (dag_id, kind, minute);



ALTER TABLE ONLY public.services
    ADD CONSTRAINT pk_services PRIMARY KEY (id);



ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT pk_tokens PRIMARY KEY (id);



ALTER TABLE ONLY public.users
    ADD CONSTRAINT pk_users PRIMARY KEY (id);



ALTER TABLE ONLY public.audit_seals
    ADD CONSTRAINT uq_audit_seals_last_id UNIQUE (last_id);



ALTER TABLE ONLY public.dags
    ADD CONSTRAINT uq_dags_file_name UNIQUE (file_name);



ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT uq_nodes_run_id_attempt_handler_name UNIQUE (run_id, attempt, handler, name);



ALTER TABLE ONLY public.queue_entries
    ADD CONSTRAINT uq_queue_entries_run_id UNIQUE (run_id);



ALTER TABLE ONLY public.schedule_slots
    ADD CONSTRAINT uq_schedule_slots_run_id UNIQUE (run_id);



ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT uq_tokens_hash UNIQUE (hash);



ALTER TABLE ONLY public.users
    ADD CONSTRAINT uq_users_username UNIQUE (username);



CREATE INDEX ix_audit_action ON public.audit USING btree (action, at);



CREATE INDEX ix_audit_actor ON public.audit USING btree (actor, at);



CREATE INDEX ix_audit_at ON public.audit USING btree (at);



CREATE INDEX ix_audit_name ON public.audit USING btree (name, at);



CREATE INDEX ix_audit_request_id ON public.audit USING btree (request_id, at);



CREATE INDEX ix_changes_xact ON public.changes USING btree (xact, number);



CREATE INDEX ix_dag_revisions_definition_hash ON public.dag_revisions USING btree (definition_hash);



CREATE INDEX ix_dags_dag_name ON public.dags USING btree (dag_name);



CREATE INDEX ix_dags_definition_hash ON public.dags USING btree (definition_hash);



CREATE INDEX ix_queue_entries_queue ON public.queue_entries USING btree (queue, priority DESC, place, id);



CREATE INDEX ix_run_attempts_owner ON public.run_attempts USING btree (owner) WHERE (closed_at IS NULL);



CREATE INDEX ix_run_errors_created_at ON public.run_errors USING btree (created_at, run_id);



CREATE INDEX ix_run_params_name ON public.run_params USING btree (name, value, created_at, run_id);



CREATE INDEX ix_run_requests_run_id ON public.run_requests USING btree (run_id);



CREATE INDEX ix_run_requests_waiting ON public.run_requests USING btree (id) WHERE (handled_at IS NULL);



CREATE INDEX ix_run_tags_tag ON public.run_tags USING btree (tag, created_at, run_id);



CREATE INDEX ix_runs_active_name ON public.runs USING btree (dag_name, status, queue) WHERE ((status = ANY (ARRAY[0, 1, 5])) AND (root_id IS NULL));



CREATE INDEX ix_runs_active_queue ON public.runs USING btree (queue, status) WHERE ((status = ANY (ARRAY[0, 1, 5])) AND (root_id IS NULL));



CREATE INDEX ix_runs_actor ON public.runs USING btree (actor, created_at) WHERE (actor IS NOT NULL);



CREATE INDEX ix_runs_child ON public.runs USING btree (created_at) WHERE (root_id IS NOT NULL);



CREATE INDEX ix_runs_definition_hash ON public.runs USING btree (definition_hash);



CREATE INDEX ix_runs_duration ON public.runs USING btree (((finished_at - started_at))) WHERE ((root_id IS NULL) AND (finished_at IS NOT NULL));



CREATE INDEX ix_runs_long_id ON public.runs USING btree (run_id) WHERE ((root_id IS NULL) AND (length(run_id) > 36));



CREATE INDEX ix_runs_parent_id ON public.runs USING btree (parent_id) WHERE (parent_id IS NOT NULL);



CREATE INDEX ix_runs_revision ON public.runs USING btree (dag_name, dag_revision, created_at) WHERE (dag_revision IS NOT NULL);



CREATE INDEX ix_runs_root ON public.runs USING btree (created_at DESC, run_id) WHERE (root_id IS NULL);



CREATE INDEX ix_runs_root_name ON public.runs USING btree (dag_name, created_at, status) WHERE (root_id IS NULL);



CREATE INDEX ix_runs_status ON public.runs USING btree (status, created_at DESC, run_id) WHERE (root_id IS NULL);



CREATE INDEX ix_runs_trigger ON public.runs USING btree (trigger, created_at);



CREATE INDEX ix_schedule_slots_file_name ON public.schedule_slots USING btree (file_name, minute);



CREATE INDEX ix_schedule_slots_minute ON public.schedule_slots USING btree (minute);



CREATE INDEX ix_schedule_slots_restarting ON public.schedule_slots USING btree (minute) WHERE (outcome = 'restarting'::text);



CREATE INDEX ix_tokens_user_id ON public.tokens USING btree (user_id);



CREATE INDEX pgqueuer_ep_ea_idx ON public.pgqueuer USING btree (entrypoint, execute_after) WHERE (status = 'queued'::public.pgqueuer_status);



CREATE INDEX pgqueuer_ep_prio_id_idx ON public.pgqueuer USING btree (entrypoint, priority DESC, id) WHERE (status = 'queued'::public.pgqueuer_status);



CREATE INDEX pgqueuer_log_created ON public.pgqueuer_log USING btree (created);



CREATE INDEX pgqueuer_log_job_id_status ON public.pgqueuer_log USING btree (job_id, created DESC);



CREATE INDEX pgqueuer_log_not_aggregated ON public.pgqueuer_log USING btree ((1)) WHERE (NOT aggregated);



CREATE INDEX pgqueuer_log_status ON public.pgqueuer_log USING btree (status);



CREATE INDEX pgqueuer_picked_heartbeat_idx ON public.pgqueuer USING btree (heartbeat) WHERE (status = 'picked'::public.pgqueuer_status);



CREATE UNIQUE INDEX pgqueuer_picked_slot_idx ON public.pgqueuer USING btree (entrypoint, slot) WHERE ((status = 'picked'::public.pgqueuer_status) AND (slot IS NOT NULL));



CREATE INDEX pgqueuer_priority_id_id1_idx ON public.pgqueuer USING btree (priority, id DESC) INCLUDE (id) WHERE (status = 'queued'::public.pgqueuer_status);



CREATE INDEX pgqueuer_queue_manager_id_idx ON public.pgqueuer USING btree (queue_manager_id) WHERE (queue_manager_id IS NOT NULL);



CREATE UNIQUE INDEX pgqueuer_statistics_unique_count ON public.pgqueuer_statistics USING btree (priority, date_trunc('sec'::text, timezone('UTC'::text, created)), status, entrypoint);



CREATE UNIQUE INDEX pgqueuer_unique_dedupe_key ON public.pgqueuer USING btree (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::public.pgqueuer_status, 'picked'::public.pgqueuer_status])) AND (dedupe_key IS NOT NULL));



CREATE INDEX pgqueuer_updated_id_id1_idx ON public.pgqueuer USING btree (updated, id DESC) INCLUDE (id) WHERE (status = 'picked'::public.pgqueuer_status);



CREATE UNIQUE INDEX uq_run_attempts_open ON public.run_attempts USING btree (run_id) WHERE (closed_at IS NULL);



CREATE UNIQUE INDEX uq_runs_child ON public.runs USING btree (root_id, run_id) WHERE (root_id IS NOT NULL);



CREATE UNIQUE INDEX uq_runs_root ON public.runs USING btree (dag_name, run_id) WHERE (root_id IS NULL);



CREATE UNIQUE INDEX uq_tokens_live_name ON public.tokens USING btree (user_id, name) WHERE (revoked_at IS NULL);



CREATE TRIGGER guard_audit_delete BEFORE DELETE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.guard_audit_delete();



CREATE TRIGGER guard_audit_seals_delete BEFORE DELETE ON public.audit_seals FOR EACH ROW EXECUTE FUNCTION public.guard_refuse('a seal is kept for ever');



CREATE TRIGGER guard_audit_seals_insert BEFORE INSERT ON public.audit_seals FOR EACH ROW EXECUTE FUNCTION public.guard_audit_seals_insert();



CREATE TRIGGER guard_audit_seals_truncate BEFORE TRUNCATE ON public.audit_seals FOR EACH STATEMENT EXECUTE FUNCTION public.guard_refuse('a seal is kept for ever');



CREATE TRIGGER guard_audit_seals_update BEFORE UPDATE ON public.audit_seals FOR EACH ROW EXECUTE FUNCTION public.guard_audit_seals_update();



CREATE TRIGGER guard_audit_truncate BEFORE TRUNCATE ON public.audit FOR EACH STATEMENT EXECUTE FUNCTION public.guard_refuse('an audit entry goes only when the seal over it is marked as pruned');



CREATE TRIGGER guard_audit_update BEFORE UPDATE ON public.audit FOR EACH ROW EXECUTE FUNCTION public.guard_refuse('an audit entry is never changed');



CREATE TRIGGER guard_dag_revisions_update BEFORE UPDATE ON public.dag_revisions FOR EACH ROW EXECUTE FUNCTION public.guard_refuse('a saved revision is never changed');



CREATE TRIGGER guard_definitions_update BEFORE UPDATE ON public.definitions FOR EACH ROW WHEN ((NOT ((old.redacted_at IS NULL) AND (new.redacted_at IS NOT NULL) AND (new.redacted_by IS NOT NULL) AND (new.hash = old.hash) AND (new.created_at = old.created_at) AND (new.spec IS NULL) AND ((new.base IS NULL) OR (NOT (new.base IS DISTINCT FROM old.base)))))) EXECUTE FUNCTION public.guard_refuse('a definition is never changed; its text may be redacted once, with time and name');



CREATE TRIGGER guard_log_chunks_insert BEFORE INSERT ON public.log_chunks FOR EACH ROW EXECUTE FUNCTION public.guard_log_chunks_insert();



CREATE TRIGGER guard_log_chunks_update BEFORE UPDATE ON public.log_chunks FOR EACH ROW EXECUTE FUNCTION public.guard_refuse('a log chunk is never changed');



CREATE TRIGGER guard_nodes_insert BEFORE INSERT ON public.nodes FOR EACH ROW WHEN (((new.status <> 0) AND ((new.status = 1) OR (new.attempt = 1)))) EXECUTE FUNCTION public.guard_refuse('a node begins as not started, or in a retry with the status it keeps');



CREATE TRIGGER guard_nodes_log_insert BEFORE INSERT ON public.nodes FOR EACH ROW WHEN ((new.log_attempt >= new.attempt)) EXECUTE FUNCTION public.guard_refuse('the log that a node has kept is that of an earlier attempt');



CREATE TRIGGER guard_nodes_log_update BEFORE UPDATE OF log_attempt ON public.nodes FOR EACH ROW WHEN ((new.log_attempt IS DISTINCT FROM old.log_attempt)) EXECUTE FUNCTION public.guard_refuse('whose log a node shows is settled when it begins');



CREATE TRIGGER guard_nodes_status BEFORE UPDATE OF status ON public.nodes FOR EACH ROW WHEN (((new.status <> old.status) AND (NOT (((old.status = 0) AND (new.status = ANY (ARRAY[1, 2, 3, 5]))) OR ((old.status = 1) AND (new.status = ANY (ARRAY[2, 3, 4, 5, 6]))))))) EXECUTE FUNCTION public.guard_nodes_status();



CREATE TRIGGER guard_run_attempts_closed BEFORE UPDATE OF closed_at ON public.run_attempts FOR EACH ROW WHEN (((old.closed_at IS NOT NULL) AND (new.closed_at IS DISTINCT FROM old.closed_at))) EXECUTE FUNCTION public.guard_refuse('a closed attempt stays closed');



CREATE TRIGGER guard_run_attempts_status BEFORE UPDATE OF status ON public.run_attempts FOR EACH ROW WHEN (((old.status = ANY (ARRAY[2, 3, 4, 6])) AND (new.status <> old.status))) EXECUTE FUNCTION public.guard_refuse('a closed attempt keeps its status');



CREATE TRIGGER guard_run_attempts_token BEFORE UPDATE OF owner, token ON public.run_attempts FOR EACH ROW WHEN (((new.token < old.token) OR ((new.token = old.token) AND (new.owner IS DISTINCT FROM old.owner)))) EXECUTE FUNCTION public.guard_refuse('the token of an attempt only grows, and grows with every change of owner');



CREATE TRIGGER guard_run_events_delete BEFORE DELETE ON public.run_events FOR EACH ROW EXECUTE FUNCTION public.guard_run_events_delete();



CREATE TRIGGER guard_run_events_insert BEFORE INSERT ON public.run_events FOR EACH ROW EXECUTE FUNCTION public.guard_run_events_insert();



CREATE TRIGGER guard_run_events_truncate BEFORE TRUNCATE ON public.run_events FOR EACH STATEMENT EXECUTE FUNCTION public.guard_refuse('an event goes only together with its run');



CREATE TRIGGER guard_run_events_update BEFORE UPDATE ON public.run_events FOR EACH ROW EXECUTE FUNCTION public.guard_refuse('an event is never changed');



CREATE TRIGGER guard_runs_attempt BEFORE UPDATE OF status, attempt ON public.runs FOR EACH ROW WHEN (((new.attempt <> old.attempt) AND (NOT ((new.attempt = (old.attempt + 1)) AND (old.status = ANY (ARRAY[2, 3, 4, 6])) AND (new.status = ANY (ARRAY[0, 1, 5])))))) EXECUTE FUNCTION public.guard_runs_attempt();



CREATE TRIGGER guard_runs_insert BEFORE INSERT ON public.runs FOR EACH ROW WHEN ((new.status <> ALL (ARRAY[0, 5]))) EXECUTE FUNCTION public.guard_refuse('a run begins as not started or queued');



CREATE TRIGGER guard_runs_status BEFORE UPDATE OF status, attempt ON public.runs FOR EACH ROW WHEN (((new.attempt = old.attempt) AND (new.status <> old.status) AND (NOT (((old.status = ANY (ARRAY[0, 5])) AND (new.status = ANY (ARRAY[1, 2, 3]))) OR ((old.status = 1) AND (new.status = ANY (ARRAY[2, 3, 4, 6]))))))) EXECUTE FUNCTION public.guard_refuse('a run cannot go from its status to this one in the same attempt');



CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.pgqueuer FOR EACH STATEMENT EXECUTE FUNCTION public.fn_pgqueuer_changed();



ALTER TABLE ONLY public.dag_retention
    ADD CONSTRAINT fk_dag_retention_dag_id FOREIGN KEY (dag_id) REFERENCES public.dags(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.dag_revisions
    ADD CONSTRAINT fk_dag_revisions_dag_id FOREIGN KEY (dag_id) REFERENCES public.dags(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.dag_revisions
    ADD CONSTRAINT fk_dag_revisions_definition_hash FOREIGN KEY (definition_hash) REFERENCES public.definitions(hash);



ALTER TABLE ONLY public.dag_settings
    ADD CONSTRAINT fk_dag_settings_dag_id FOREIGN KEY (dag_id) REFERENCES public.dags(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.dags
    ADD CONSTRAINT fk_dags_definition_hash FOREIGN KEY (definition_hash) REFERENCES public.definitions(hash);



ALTER TABLE ONLY public.log_chunks
    ADD CONSTRAINT fk_log_chunks_run_id_attempt_position FOREIGN KEY (run_id, attempt, "position") REFERENCES public.nodes(run_id, attempt, "position") ON DELETE CASCADE;



ALTER TABLE ONLY public.nodes
    ADD CONSTRAINT fk_nodes_run_id_attempt FOREIGN KEY (run_id, attempt) REFERENCES public.run_attempts(run_id, number) ON DELETE CASCADE;



ALTER TABLE ONLY public.queue_entries
    ADD CONSTRAINT fk_queue_entries_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.removals
    ADD CONSTRAINT fk_removals_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_attempts
    ADD CONSTRAINT fk_run_attempts_owner FOREIGN KEY (owner) REFERENCES public.services(id);



ALTER TABLE ONLY public.run_attempts
    ADD CONSTRAINT fk_run_attempts_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_errors
    ADD CONSTRAINT fk_run_errors_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_events
    ADD CONSTRAINT fk_run_events_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_inputs
    ADD CONSTRAINT fk_run_inputs_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_params
    ADD CONSTRAINT fk_run_params_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_requests
    ADD CONSTRAINT fk_run_requests_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.run_tags
    ADD CONSTRAINT fk_run_tags_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_definition_hash FOREIGN KEY (definition_hash) REFERENCES public.definitions(hash);



ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_parent_id FOREIGN KEY (parent_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.runs
    ADD CONSTRAINT fk_runs_root_id FOREIGN KEY (root_id) REFERENCES public.runs(id) ON DELETE CASCADE;



ALTER TABLE ONLY public.schedule_slots
    ADD CONSTRAINT fk_schedule_slots_run_id FOREIGN KEY (run_id) REFERENCES public.runs(id) ON DELETE SET NULL;



ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT fk_tokens_user_id FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;




