-- A fingerprint of tables: what they are made of, as far as it decides what SQL over them means. Null where one of them is no
-- table whose rows follow from transactions of this database alone, the same for everybody: a view, which may read the clock, a
-- foreign table or a parent of one, or a table with row-level security.
-- $1 is [{"schema", "name", "columns"}].
WITH
asked AS (
    SELECT t.schema, t.name, t.columns FROM jsonb_to_recordset($1::jsonb) AS t (schema text, name text, columns jsonb)
),

found AS (
    SELECT
        c.oid, c.relkind, c.relrowsecurity, c.relhassubclass OR c.relkind = 'p' AS is_parent,
        (
            SELECT string_agg(concat_ws(' ', a.attname, a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a
            WHERE a.attrelid = c.oid AND NOT a.attisdropped AND jsonb_exists(asked.columns, a.attname)
        ) AS columns
    FROM asked
    JOIN pg_catalog.pg_namespace n ON n.nspname = asked.schema
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = asked.name
)

SELECT CASE
    WHEN
        (SELECT count(*) FROM found) = (SELECT count(*) FROM asked)
        AND NOT EXISTS (SELECT FROM found WHERE relkind NOT IN ('r', 'p', 'm') OR relrowsecurity)
        AND NOT (
            EXISTS (SELECT FROM found WHERE is_parent) AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE relkind = 'f')
        )
    THEN md5(coalesce((SELECT string_agg(concat_ws(' ', oid, relkind, columns), '; ' ORDER BY oid) FROM found), ''))
END AS fingerprint
