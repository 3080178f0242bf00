-- A fingerprint of tables: of their definitions, as far as they decide what SQL over them means, and of whether their
-- names without a schema mean them; and of the functions and operators of the data schemas, and the casts, that may apply
-- to their values. NULL if one of them is no table whose rows follow only from transactions of this database, equally for
-- every role: a view, which may read the clock; a foreign table or a parent of one; a table with row-level security; or any
-- table in a database with Citus, whose rows may be on other servers.
-- $1 is [{"schema", "name", "columns"}].
WITH
asked AS (
    SELECT t.schema, t.name, t.columns FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS t (schema text, name text, columns jsonb)
),

found AS (
    SELECT
        c.oid, c.relkind, c.relrowsecurity, c.relhassubclass OR c.relkind = 'p' AS is_parent,
        CASE WHEN NOT pg_catalog.pg_table_is_visible(c.oid) THEN 'hidden' END AS visibility,
        (
            SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attname, a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND NOT a.attisdropped AND pg_catalog.jsonb_exists(asked.columns, a.attname)
        ) AS columns
    FROM asked
    JOIN pg_catalog.pg_namespace n ON n.nspname = asked.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
),

-- An updated row has another xmin.
own AS (
    SELECT 'function' AS kind, p.oid, p.xmin FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY (pg_catalog.current_schemas(false))
    UNION ALL
    SELECT 'operator', o.oid, o.xmin FROM pg_catalog.pg_operator o
    JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace WHERE n.nspname = ANY (pg_catalog.current_schemas(false))
    UNION ALL
    SELECT 'cast', c.oid, c.xmin FROM pg_catalog.pg_cast c WHERE c.oid >= 16384::oid
)

SELECT CASE
    WHEN
        (SELECT pg_catalog.count(*) FROM found) = (SELECT pg_catalog.count(*) FROM asked)
        AND NOT EXISTS (SELECT FROM found WHERE relkind NOT IN ('r', 'p', 'm') OR relrowsecurity)
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus')
        AND NOT (
            EXISTS (SELECT FROM found WHERE is_parent) AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'f')
        )
    THEN pg_catalog.md5(pg_catalog.concat_ws(
        '/',
        (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', oid, relkind, columns, visibility), '; ' ORDER BY oid) FROM found),
        (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', kind, oid, xmin), '; ' ORDER BY kind, oid) FROM own)
    ))
END AS fingerprint
