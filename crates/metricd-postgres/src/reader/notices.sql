-- The relations of the schemas $2 that look different to the role $1 than to their owner: `closed` if it may read no
-- column, `empty` if row security shows it no row. A partition is read through its table.
SELECT n.nspname::text AS schema, pg_catalog.array_agg(c.relname::text ORDER BY c.relname) AS names, fault.name AS fault
FROM pg_catalog.pg_roles AS reader, pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,
LATERAL (
    SELECT CASE
        WHEN NOT has_any_column_privilege(reader.oid, c.oid, 'SELECT') THEN 'closed'
        WHEN c.relrowsecurity AND NOT reader.rolbypassrls AND NOT reader.rolsuper AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_policy AS p, pg_catalog.unnest(p.polroles) AS role
            WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd IN ('r', '*')
            AND CASE role WHEN 0 THEN true ELSE pg_has_role(reader.oid, role, 'USAGE') END
        ) THEN 'empty'
    END AS name
) AS fault
WHERE reader.rolname = $1 AND n.nspname = ANY ($2) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
AND fault.name IS NOT NULL
GROUP BY n.nspname, fault.name
ORDER BY pg_catalog.array_position($2, n.nspname::text), fault.name
