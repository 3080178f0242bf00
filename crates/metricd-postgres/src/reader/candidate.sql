-- The role $1, if it exists: whether it is a reader of metricd, in this database or, by its comment $2, in another one;
-- and another database in which it owns objects or has privileges.
SELECT
    coalesce('default_transaction_read_only=on' = ANY (r.rolconfig), false) AND (
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
    ) AS elsewhere
FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1
