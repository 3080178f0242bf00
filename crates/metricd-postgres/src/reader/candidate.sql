-- The role $1, if it exists: whether it is a reader of metricd, in this database or, by its comment $2, in another one;
-- another database in which it owns objects or has privileges; and the schemas that it reads there, unless they are $3.
SELECT
    (
        coalesce(pg_catalog.shobj_description(r.oid, 'pg_authid') = $2, false)
        OR EXISTS (
            SELECT FROM pg_catalog.pg_namespace AS n, pg_catalog.aclexplode(n.nspacl) AS a
            WHERE n.nspname = 'tenancy' AND a.grantee = r.oid AND r.oid <> n.nspowner
        )
    ) AS is_reader,
    (
        SELECT min(other.datname::text)
        FROM pg_catalog.pg_shdepend AS d JOIN pg_catalog.pg_database AS other ON other.oid = d.dbid
        WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid
        AND other.datname <> current_database()
    ) AS elsewhere,
    (
        SELECT substr(setting.text, length('search_path=') + 1) FROM unnest(r.rolconfig) AS setting (text)
        WHERE starts_with(setting.text, 'search_path=') AND setting.text <> 'search_path=' || (
            SELECT string_agg(quote_ident(searched.name), ', ' ORDER BY searched.number)
            FROM unnest($3) WITH ORDINALITY AS searched (name, number)
        )
    ) AS other_schemas
FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1
