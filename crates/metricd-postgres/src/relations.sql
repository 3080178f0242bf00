-- What the reader may read, and whether row security keeps the rows of tenants apart in each. What stands in another schema than
-- warehouse has that before its name; a view there, or a function that runs with another's rights, is reached by way of one here.
WITH policies AS (
    -- Those that hold for the reader where it reads, and whether their USING asks for the tenant. What WITH CHECK asks is of
    -- no matter to who reads; without a USING a policy lets no row through.
    SELECT p.polrelid, p.polpermissive, pg_catalog.strpos(
        p.polqual::pg_catalog.text, ':funcid ' || 'tenancy.current_tenant()'::pg_catalog.regprocedure::pg_catalog.oid || ' '
    ) > 0 AS asks
    FROM pg_catalog.pg_policy AS p
    WHERE p.polcmd IN ('r', '*') AND p.polqual IS NOT NULL
    AND EXISTS (
        SELECT FROM pg_catalog.unnest(p.polroles) AS role
        WHERE role = 0 OR pg_catalog.pg_has_role(role, 'USAGE')
    )
)
SELECT coalesce(json_agg(json_build_array(found.name, found.is_secured) ORDER BY found.name), '[]')::text
FROM (
    SELECT
        CASE n.nspname WHEN 'warehouse' THEN c.relname ELSE n.nspname || '.' || c.relname END AS name,
        CASE c.relkind
            -- A view that asks with the rights of whoever made it asks past the policies.
            WHEN 'v' THEN EXISTS (
                SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) AS o
                WHERE o.option_name = 'security_invoker' AND o.option_value::boolean
            )
            -- Not where the reader owns the table. Of several permissive policies one that lets a row through is enough, of
            -- restrictive ones none may be missing.
            ELSE pg_catalog.row_security_active(c.oid) AND (
                NOT EXISTS (SELECT FROM policies AS p WHERE p.polrelid = c.oid AND p.polpermissive AND NOT p.asks)
                OR EXISTS (SELECT FROM policies AS p WHERE p.polrelid = c.oid AND NOT p.polpermissive AND p.asks)
            )
        END AS is_secured
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))
    UNION ALL
    SELECT n.nspname || '.' || p.proname || '()', false
    FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prosecdef
    AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'tenancy')
    AND pg_catalog.has_function_privilege(p.oid, 'EXECUTE')
) AS found
