-- The relations that the reader may read, and what isolates the rows of tenants in each. Those outside the data schemas
-- count as well: such a view, or a SECURITY DEFINER function, is reached through one in a data schema.
SELECT pg_catalog.json_build_object(
    'facts', pg_catalog.json_build_object(
        'current_tenant', 'tenancy.current_tenant()'::regprocedure::oid::bigint,
        'equalities', (
            SELECT pg_catalog.json_agg(o.amopopr::bigint)
            FROM pg_catalog.pg_amop AS o
            JOIN pg_catalog.pg_opfamily AS f ON f.oid = o.amopfamily
            JOIN pg_catalog.pg_am AS m ON m.oid = f.opfmethod
            WHERE m.amname = 'btree' AND o.amopstrategy = 3 AND f.opfnamespace = 'pg_catalog'::regnamespace::oid
            AND f.opfname IN ('text_ops', 'integer_ops', 'uuid_ops') AND o.amopopr < 16384::oid
        ),
        'inexact_collations', (
            SELECT coalesce(pg_catalog.json_agg(c.oid::bigint), '[]') FROM pg_catalog.pg_collation AS c WHERE NOT c.collisdeterministic
        )
    ),
    'relations', coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
        'schema', found.schema, 'name', found.name, 'is_visible', found.is_visible, 'gap', found.gap, 'policies', found.policies
    ) ORDER BY found.schema, found.name), '[]')
)::text
FROM (
    SELECT
        n.nspname AS schema, c.relname::text AS name, pg_catalog.pg_table_is_visible(c.oid) AS is_visible,
        CASE
            WHEN c.relkind = 'm' THEN 'materialized_view'
            WHEN c.relkind = 'f' THEN 'foreign_table'
            -- A view without security_invoker runs with the privileges of its owner and bypasses the policies.
            WHEN c.relkind = 'v' AND NOT EXISTS (
                SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) AS o
                WHERE o.option_name = 'security_invoker' AND o.option_value::boolean
            ) THEN 'view'
            -- Row security also does not apply if the reader owns the table.
            WHEN c.relkind IN ('r', 'p') AND NOT pg_catalog.row_security_active(c.oid) THEN 'row_security'
            WHEN c.relkind IN ('r', 'p') AND EXISTS (SELECT FROM pg_catalog.pg_extension AS e WHERE e.extname = 'citus') THEN 'citus'
        END AS gap,
        -- The policies that apply to reads of the reader. WITH CHECK does not matter for reads; a policy without
        -- USING shows no row.
        ARRAY(
            SELECT pg_catalog.json_build_object(
                'name', p.polname, 'is_permissive', p.polpermissive, 'condition', p.polqual::text,
                'text', pg_catalog.pg_get_expr(p.polqual, p.polrelid)
            )
            FROM pg_catalog.pg_policy AS p
            WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
            AND EXISTS (
                SELECT FROM pg_catalog.unnest(p.polroles) AS role
                WHERE role = 0::oid OR pg_catalog.pg_has_role(role, 'USAGE')
            )
            ORDER BY p.polname
        ) AS policies
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))
    UNION ALL
    SELECT n.nspname, p.proname::text || '()', pg_catalog.pg_function_is_visible(p.oid), 'definer', '{}'
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prosecdef
    AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype::oid, 'pg_catalog.event_trigger'::regtype::oid)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'tenancy')
    AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
) AS found
