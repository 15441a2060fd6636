-- Copies all runs so many times, each copy behind the one before in time; without triggers, and with secondary indexes made at the end.
DO $$
DECLARE
    tables constant text[] := ARRAY['runs', 'run_attempts', 'run_inputs', 'nodes', 'run_events'];
    first bigint; span interval; keys bigint; name text; columns text; copied text; index record;
    indexes text[] := ARRAY[]::text[];
BEGIN
    PERFORM set_config('session_replication_role', 'replica', true);
    PERFORM set_config('maintenance_work_mem', '1GB', true);
    SELECT max(created_at) - min(created_at) + interval '1 second' INTO span FROM runs;
    keys := (extract(epoch FROM span) * 1000)::bigint << 22;  -- a key begins with milliseconds
    FOR index IN SELECT c.oid, c.relname, pg_get_indexdef(c.oid) AS text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid::regclass::text = ANY (tables) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = c.oid AND contype IN ('p', 'u'))
    LOOP
        indexes := indexes || index.text;
        EXECUTE format('DROP INDEX %I', index.relname);
    END LOOP;
    FOREACH name IN ARRAY tables LOOP
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum),
            string_agg(CASE
                WHEN attname = CASE name WHEN 'runs' THEN 'id' ELSE 'run_id' END THEN format('%I + copy * %s', attname, keys)
                WHEN attname = 'run_id' THEN 'run_id || ''-'' || copy'
                WHEN atttypid = 'timestamptz'::regtype THEN format('%I + copy * %L::interval', attname, span)
                ELSE quote_ident(attname) END, ', ' ORDER BY attnum)
            INTO columns, copied FROM pg_attribute WHERE attrelid = name::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM generate_series(1, :copies) copy, %I', name, columns, copied, name);
    END LOOP;
    FOREACH name IN ARRAY indexes LOOP
        EXECUTE name;
    END LOOP;
END $$
