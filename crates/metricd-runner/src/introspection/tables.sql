-- The tables, views and foreign tables of the data schemas that the reader may read. $1 is an object:
--   "limit": how many, at most.
--   "name": only the table that this name means: a name without a schema as in SQL, or the schema and the name with a point
--     between them. Its columns and keys are read as well. Without it, partitions are left out.
--   "search": only those that have this text in their name, with the schema, or in their comment.
--   "among": only those of these schemas and names, [[schema, name]].
--   "after": only those after this schema and name, [schema, name].
-- All but the limit may be absent.
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
    'schema', found.schema,
    'name', found.name,
    'is_visible', found.is_visible,
    'kind', CASE found.relkind
        WHEN 'p' THEN 'partitioned_table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign_table'
        ELSE 'table'
    END,
    'description', pg_catalog.left(found.description, 4000),
    'row_estimate', CASE
        -- PostgreSQL seldom estimates a partitioned table itself.
        WHEN found.relkind = 'p' THEN (
            WITH RECURSIVE part AS (
                SELECT i.inhrelid AS oid FROM pg_catalog.pg_inherits AS i WHERE i.inhparent = found.oid
                UNION ALL
                SELECT i.inhrelid FROM part JOIN pg_catalog.pg_inherits AS i ON i.inhparent = part.oid
            )
            SELECT pg_catalog.sum(p.reltuples::float8)::bigint
            FROM part JOIN pg_catalog.pg_class AS p ON p.oid = part.oid
            WHERE p.relkind <> 'p' AND p.reltuples >= 0::real
        )
        WHEN found.relkind <> 'v' AND found.reltuples >= 0::real THEN found.reltuples::bigint
    END,
    'column_count', (
        SELECT pg_catalog.count(*) FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (found.is_whole OR pg_catalog.has_column_privilege(found.oid, a.attnum, 'SELECT'::text))
    ),
    'columns', CASE WHEN $1::jsonb ->> 'name'::text IS NOT NULL THEN coalesce((
        SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
            'name', a.attname,
            'type', pg_catalog.format_type(a.atttypid, NULL),
            'required', a.attnotnull,
            'description', pg_catalog.left(d.description, 4000),
            'enum_labels', CASE WHEN t.typtype = 'e' THEN (
                SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e
                WHERE e.enumtypid = t.oid HAVING pg_catalog.count(*) <= 200
            ) END,
            'sampling', CASE
                WHEN t.typtype = 'e' THEN 'whole'
                WHEN t.oid >= 16384::oid OR t.typtype = 'd' THEN 'skipped'
                WHEN t.typcategory = 'S' THEN 'text'
                WHEN t.typlen > 0 THEN 'whole'
                ELSE 'short'
            END
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS declared ON declared.oid = a.atttypid
        JOIN pg_catalog.pg_type AS t ON t.oid = CASE WHEN declared.typtype = 'd' THEN declared.typbasetype ELSE declared.oid END
        LEFT JOIN pg_catalog.pg_description AS d
            ON d.classoid = 'pg_catalog.pg_class'::regclass::oid AND d.objoid = a.attrelid AND d.objsubid = a.attnum
        WHERE a.attrelid = found.oid AND a.attnum > 0 AND NOT a.attisdropped
            AND (found.is_whole OR pg_catalog.has_column_privilege(found.oid, a.attnum, 'SELECT'::text))
    ), '[]') END,
    'key', CASE WHEN $1::jsonb ->> 'name'::text IS NOT NULL THEN coalesce((
        SELECT pg_catalog.json_agg(a.attname ORDER BY part.number)
        FROM pg_catalog.pg_constraint AS k
        CROSS JOIN LATERAL pg_catalog.unnest(k.conkey) WITH ORDINALITY AS part (attnum, number)
        JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = part.attnum
        WHERE k.conrelid = found.oid AND k.contype = 'p'
    ), '[]') END,
    'foreign_keys', CASE WHEN $1::jsonb ->> 'name'::text IS NOT NULL THEN coalesce((
        -- Distinct, since two keys may differ only in their actions.
        SELECT pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_object(
            'columns', ARRAY(
                SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = k.conrelid AND a.attnum = part.attnum)
                FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS part (attnum, number) ORDER BY part.number
            ),
            'referenced_schema', target_schema.nspname,
            'referenced_table', target.relname,
            'referenced_columns', ARRAY(
                SELECT (SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = k.confrelid AND a.attnum = part.attnum)
                FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY AS part (attnum, number) ORDER BY part.number
            )
        ))
        FROM pg_catalog.pg_constraint AS k
        JOIN pg_catalog.pg_class AS target ON target.oid = k.confrelid
        JOIN pg_catalog.pg_namespace AS target_schema ON target_schema.oid = target.relnamespace
        WHERE k.conrelid = found.oid AND k.contype = 'f'
            AND target_schema.nspname = ANY (pg_catalog.current_schemas(false))
            AND (pg_catalog.has_table_privilege(target.oid, 'SELECT'::text) OR pg_catalog.has_any_column_privilege(target.oid, 'SELECT'::text))
            -- Since PostgreSQL 18 a key may compare ranges by another operator (PERIOD): then the referenced row is not equal.
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_operator AS o WHERE o.oid = ANY (k.conpfeqop) AND o.oprname <> '=')
            -- A key that references a partitioned table has an entry for each of its partitions, too.
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid)
    ), '[]') END
) ORDER BY found.number), '[]')::text
FROM (
    SELECT
        c.oid, n.nspname AS schema, c.relname AS name, c.relkind, c.reltuples, d.description,
        pg_catalog.pg_table_is_visible(c.oid) AS is_visible,
        pg_catalog.has_table_privilege(c.oid, 'SELECT'::text) AS is_whole,
        pg_catalog.row_number() OVER (
            -- A name means the table that SQL finds by it, before one of that schema and name.
            ORDER BY
                ($1::jsonb ->> 'name'::text) IS NOT NULL AND pg_catalog.pg_table_is_visible(c.oid)
                    AND c.relname::text = ($1::jsonb ->> 'name'::text) DESC,
                n.nspname::text COLLATE pg_catalog."C", c.relname::text COLLATE pg_catalog."C"
        ) AS number
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_description AS d
        ON d.classoid = 'pg_catalog.pg_class'::regclass::oid AND d.objoid = c.oid AND d.objsubid = 0
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
        AND n.nspname = ANY (pg_catalog.current_schemas(false))
        AND CASE
            WHEN ($1::jsonb ->> 'name'::text) IS NULL THEN NOT c.relispartition
            ELSE pg_catalog.pg_table_is_visible(c.oid) AND c.relname::text = ($1::jsonb ->> 'name'::text)
                OR n.nspname::text || '.'::text || c.relname::text = ($1::jsonb ->> 'name'::text)
        END
        AND (pg_catalog.has_table_privilege(c.oid, 'SELECT'::text) OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'::text))
        AND (
            ($1::jsonb ->> 'search'::text) IS NULL
            OR pg_catalog.strpos(
                pg_catalog.lower(n.nspname::text || '.'::text || c.relname::text), pg_catalog.lower($1::jsonb ->> 'search'::text)
            ) > 0
            OR pg_catalog.strpos(pg_catalog.lower(d.description), pg_catalog.lower($1::jsonb ->> 'search'::text)) > 0
        )
        AND (
            ($1::jsonb -> 'among'::text) IS NULL
            OR (n.nspname::text, c.relname::text) IN (
                SELECT one.pair ->> 0, one.pair ->> 1 FROM pg_catalog.jsonb_array_elements($1::jsonb -> 'among'::text) AS one (pair)
            )
        )
        AND (
            ($1::jsonb -> 'after'::text) IS NULL
            OR (n.nspname::text COLLATE pg_catalog."C", c.relname::text COLLATE pg_catalog."C")
                > ($1::jsonb -> 'after'::text ->> 0, $1::jsonb -> 'after'::text ->> 1)
        )
    ORDER BY number
    LIMIT ($1::jsonb ->> 'limit'::text)::bigint
) AS found
