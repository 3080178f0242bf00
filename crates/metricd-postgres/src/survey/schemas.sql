-- What the schemas of the database hold, and how much of it the role $1, which need not exist, may read. Partitions count
-- with their table.
SELECT
    n.nspname::text AS name,
    count(c.oid) FILTER (WHERE c.relkind IN ('r', 'p')) AS tables,
    count(c.oid) FILTER (WHERE c.relkind = 'v') AS views,
    count(c.oid) FILTER (WHERE c.relkind = 'm') AS materialized_views,
    count(c.oid) FILTER (WHERE c.relkind = 'f') AS foreign_tables,
    CASE WHEN reader.oid IS NOT NULL THEN count(c.oid) FILTER (
        WHERE has_schema_privilege(reader.oid, n.oid, 'USAGE') AND has_any_column_privilege(reader.oid, c.oid, 'SELECT')
    ) END AS readable
FROM pg_catalog.pg_namespace AS n
CROSS JOIN (SELECT (SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1) AS oid) AS reader
LEFT JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'catalog', 'tenancy')
GROUP BY n.oid, n.nspname, reader.oid
ORDER BY n.nspname
