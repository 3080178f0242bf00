-- The foreign tables, and the views and parents through which they are read, as [schema, name, whether all their foreign
-- tables belong to postgres_fdw]; and whether the database has Citus, which may distribute every table. A materialized
-- view has rows of its own.
WITH RECURSIVE remote AS (
    SELECT f.ftrelid AS oid, h.proname IS NOT DISTINCT FROM 'postgres_fdw_handler' AS is_postgres
    FROM pg_catalog.pg_foreign_table AS f
    JOIN pg_catalog.pg_foreign_server AS s ON s.oid = f.ftserver
    JOIN pg_catalog.pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
    LEFT JOIN pg_catalog.pg_proc AS h ON h.oid = w.fdwhandler
    UNION
    SELECT above.oid, remote.is_postgres
    FROM remote,
    LATERAL (
        SELECT i.inhparent AS oid FROM pg_catalog.pg_inherits AS i WHERE i.inhrelid = remote.oid
        UNION ALL
        SELECT c.oid
        FROM pg_catalog.pg_depend AS d
        JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
        JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
        WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass::oid AND d.refclassid = 'pg_catalog.pg_class'::regclass::oid
        AND d.refobjid = remote.oid AND c.relkind = 'v'
    ) AS above
)
SELECT pg_catalog.json_build_object(
    'has_citus', EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'citus'),
    'relations', coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(found.schema, found.name, found.is_postgres)), '[]')
)::text
FROM (
    SELECT n.nspname AS schema, c.relname AS name, pg_catalog.bool_and(remote.is_postgres) AS is_postgres
    FROM remote
    JOIN pg_catalog.pg_class AS c ON c.oid = remote.oid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    GROUP BY n.nspname, c.relname
) AS found
