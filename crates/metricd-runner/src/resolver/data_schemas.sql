-- The functions of each data schema that SQL may call, and the types that it may name, in the order in which the schemas
-- are searched. Functions of extensions and of untrusted languages need the permission of the operator; a type of a
-- trusted extension does not, since any user could have created it.
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object('name', n.nspname, 'functions', ARRAY(
    SELECT p.proname::text FROM pg_catalog.pg_proc p
    JOIN pg_catalog.pg_language l ON l.oid = p.prolang
    WHERE p.pronamespace = n.oid AND p.prokind IN ('f', 'a', 'w')
    GROUP BY p.proname
    HAVING pg_catalog.bool_and(
        p.provolatile <> 'v' AND NOT p.prosecdef
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = p.oid AND d.deptype = 'e'
        )
        -- An aggregate has no language, and PostgreSQL itself creates the constructor functions of a range type.
        AND (l.lanpltrusted OR p.prokind = 'a' OR EXISTS (
            SELECT FROM pg_catalog.pg_depend d
            WHERE d.classid = 'pg_catalog.pg_proc'::regclass::oid AND d.objid = p.oid AND d.refclassid = 'pg_catalog.pg_type'::regclass::oid AND d.deptype = 'i'
        ))
    )
), 'types', ARRAY(
    SELECT t.typname::text FROM pg_catalog.pg_type t
    WHERE t.typnamespace = n.oid
        AND (
            t.typtype IN ('c', 'd', 'e', 'm', 'r')
            OR t.typtype = 'b' AND t.typelem = 0::oid AND EXISTS (
                SELECT FROM pg_catalog.pg_depend d
                JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_extension'::regclass::oid
                JOIN pg_catalog.pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion
                WHERE d.classid = 'pg_catalog.pg_type'::regclass::oid AND d.objid = t.oid AND d.deptype = 'e' AND v.trusted
            )
        )
)) ORDER BY searched.number), '[]')::text
FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) WITH ORDINALITY AS searched (name, number)
JOIN pg_catalog.pg_namespace n ON n.nspname = searched.name
