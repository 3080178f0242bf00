-- The servers of postgres_fdw whose tables the role $1 may read, with whether it has a user mapping there, and the options
-- that each lacks. A partition is read with the rights on its parent.
WITH found AS (
    SELECT DISTINCT s.oid, s.srvname::text AS name, s.srvoptions AS options
    FROM pg_catalog.pg_roles AS reader, pg_catalog.pg_foreign_table AS f
    JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver
    JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
    JOIN pg_catalog.pg_proc AS h ON h.oid = w.fdwhandler AND h.proname = 'postgres_fdw_handler'
    WHERE reader.rolname = $1 AND EXISTS (
        SELECT FROM pg_catalog.pg_class AS c
        WHERE (c.oid = f.ftrelid OR c.oid IN (SELECT a.relid::oid FROM pg_catalog.pg_partition_ancestors(f.ftrelid::regclass) AS a))
        AND pg_catalog.has_any_column_privilege(reader.oid, c.oid, 'SELECT')
    )
)
SELECT
    name,
    EXISTS (SELECT FROM pg_catalog.pg_user_mappings AS m WHERE m.srvid = found.oid AND (m.umuser = 0::oid OR m.usename = $1)) AS is_mapped,
    ARRAY(
        SELECT CASE WHEN o.option_name IS NULL THEN 'ADD ' ELSE 'SET ' END || wanted.name || ' ' || pg_catalog.quote_literal(wanted.value)
        FROM (VALUES ('use_remote_estimate', 'true'), ('async_capable', 'true'), ('connect_timeout', '2')) AS wanted (name, value)
        LEFT JOIN pg_catalog.pg_options_to_table(found.options) AS o ON o.option_name = wanted.name
        WHERE (wanted.name <> 'async_capable' OR (SELECT pg_catalog.count(*) FROM found) > 1)
        AND CASE wanted.name WHEN 'connect_timeout' THEN o.option_value IS NULL ELSE NOT coalesce(o.option_value::boolean, false) END
        ORDER BY wanted.name DESC
    ) AS lacking
FROM found
ORDER BY name
