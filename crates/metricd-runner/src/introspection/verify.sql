SELECT (
    ({labels})::jsonb = $1::jsonb -> 'enums'::text
    AND NOT EXISTS (
        SELECT FROM pg_catalog.jsonb_to_recordset($1::jsonb -> 'tables'::text) AS t (schema text, name text, is_visible boolean, time_columns jsonb)
        WHERE coalesce(t.is_visible, true) IS DISTINCT FROM (
            SELECT pg_catalog.pg_table_is_visible(c.oid)
            FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
            WHERE n.nspname = t.schema
        ) OR t.time_columns IS DISTINCT FROM coalesce((
            SELECT pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('name', a.attname, 'type', pg_catalog.format_type(a.atttypid, NULL)) ORDER BY a.attnum)
            FROM pg_catalog.pg_namespace n
            JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name
            JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
            WHERE n.nspname = t.schema AND a.attnum > 0 AND NOT a.attisdropped
                AND a.atttypid IN ('date'::regtype::oid, 'timestamp'::regtype::oid, 'timestamptz'::regtype::oid)
        ), '[]')
    )
    AND ({foreign_keys})::jsonb = coalesce((
        SELECT pg_catalog.jsonb_agg(coalesce(t.entry -> 'foreign_keys'::text, '[]') ORDER BY t.number)
        FROM pg_catalog.jsonb_array_elements($1::jsonb -> 'tables'::text) WITH ORDINALITY AS t (entry, number)
    ), '[]')
)::text
