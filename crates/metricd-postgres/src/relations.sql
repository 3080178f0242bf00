-- The relations of the warehouse that the reader may read, and whether row security holds for each.
SELECT coalesce(json_agg(json_build_array(c.relname, CASE c.relkind
    WHEN 'r' THEN c.relrowsecurity
    WHEN 'p' THEN c.relrowsecurity
    -- A view that asks with the rights of whoever made it asks past the policies.
    WHEN 'v' THEN EXISTS (
        SELECT FROM pg_catalog.pg_options_to_table(c.reloptions) AS o
        WHERE o.option_name = 'security_invoker' AND o.option_value::boolean
    )
    ELSE false
END) ORDER BY c.relname), '[]')::text
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = 'warehouse'::pg_catalog.regnamespace
AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
AND (pg_catalog.has_table_privilege(c.oid, 'SELECT') OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT'))
