-- The role $1, if it exists: whether it has the settings of a reader of the schemas $2 or is one of other schemas, and
-- another database in which it owns objects or has privileges.
SELECT
    coalesce('default_transaction_read_only=on' = ANY (r.rolconfig) AND (
        ('search_path=' || (
            SELECT string_agg(quote_ident(name), ', ' ORDER BY number)
            FROM unnest($2) WITH ORDINALITY AS searched (name, number)
        )) = ANY (r.rolconfig)
        OR has_schema_privilege(r.oid, to_regnamespace('tenancy')::oid, 'USAGE')
    ), false) AS is_reader,
    (
        SELECT min(other.datname::text)
        FROM pg_catalog.pg_shdepend AS d JOIN pg_catalog.pg_database AS other ON other.oid = d.dbid
        WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid
        AND other.datname <> current_database()
    ) AS elsewhere
FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1
