-- The readers of this database with their search paths, and whether that is the path of the schemas $2: the role $1 or, if
-- that is NULL, the roles that may use the schema `tenancy`, to which only `metricd migrate` grants that.
SELECT
    r.rolname::text AS role, substring(setting FROM 13) AS search_path,
    setting = 'search_path=' || (
        SELECT string_agg(quote_ident(name), ', ' ORDER BY number)
        FROM unnest($2) WITH ORDINALITY AS searched (name, number)
    ) AS is_given
FROM pg_catalog.pg_roles AS r, pg_catalog.unnest(r.rolconfig) AS setting
WHERE pg_catalog.starts_with(setting, 'search_path=') AND CASE
    WHEN $1 IS NULL THEN EXISTS (
        SELECT FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS a
        WHERE n.nspname = 'tenancy' AND a.grantee = r.oid AND r.oid <> n.nspowner
    )
    ELSE r.rolname = $1
END
ORDER BY 1
