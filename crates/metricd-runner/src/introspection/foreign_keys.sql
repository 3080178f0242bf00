-- The foreign keys of tables to tables of the data schemas, as an array for each table, in the order of the tables. A key is
-- listed if all of its columns are among those of the table. $1 is [{"schema", "name", "columns"}].
SELECT coalesce(pg_catalog.jsonb_agg(coalesce((
    -- Distinct, since two keys may differ only in their actions.
    SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_object(
        'columns', key.columns,
        'referenced_schema', target_schema.nspname,
        'referenced_table', target.relname,
        'referenced_columns', ARRAY(
            SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = part.attnum)
            FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS part (attnum, number) ORDER BY part.number
        )
    ))
    FROM pg_catalog.pg_namespace n
    JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
    JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
    JOIN pg_catalog.pg_class target ON target.oid = k.confrelid
    JOIN pg_catalog.pg_namespace target_schema ON target_schema.oid = target.relnamespace
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = part.attnum)
            FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS part (attnum, number) ORDER BY part.number
        ) AS columns
    ) AS key
    WHERE n.nspname = t.schema
        AND target_schema.nspname = ANY (pg_catalog.current_schemas(false))
        AND pg_catalog.jsonb_exists_all(t.columns, key.columns)
        -- Since PostgreSQL 18 a key may compare ranges by another operator (PERIOD): then the referenced row is not equal.
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oid = ANY (k.conpfeqop) AND o.oprname <> '=')
        -- A key that references a partitioned table has an entry for each of its partitions, too.
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
), '[]') ORDER BY t.number), '[]')::text
FROM ROWS FROM (pg_catalog.jsonb_to_recordset($1::jsonb) AS (schema text, name text, columns jsonb))
    WITH ORDINALITY AS t (schema, name, columns, number)
