-- The role $1, if it exists: whether it has the settings of a reader, and another database in which it owns objects
-- or has privileges.
SELECT
    coalesce(r.rolconfig @> ARRAY['default_transaction_read_only=on', 'search_path=warehouse'], false) AS is_reader,
    (
        SELECT min(other.datname::text)
        FROM pg_catalog.pg_shdepend AS d JOIN pg_catalog.pg_database AS other ON other.oid = d.dbid
        WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = r.oid
        AND other.datname <> current_database()
    ) AS elsewhere
FROM pg_catalog.pg_roles AS r WHERE r.rolname = $1
