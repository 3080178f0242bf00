-- The functions of the warehouse that SQL may call, and the types that it may name. Functions of extensions and of
-- untrusted languages need the permission of the operator; a type of a trusted extension does not, since any user
-- could have created it.
SELECT
    ARRAY(
        SELECT p.proname::text FROM pg_proc p
        JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace = to_regnamespace('warehouse') AND p.prokind IN ('f', 'a', 'w')
        GROUP BY p.proname
        HAVING bool_and(
            p.provolatile <> 'v' AND NOT p.prosecdef
            AND NOT EXISTS (
                SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
            )
            -- An aggregate has no language, and PostgreSQL itself creates the constructor functions of a range type.
            AND (l.lanpltrusted OR p.prokind = 'a' OR EXISTS (
                SELECT FROM pg_depend d
                WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i'
            ))
        )
    ) AS functions,
    ARRAY(
        SELECT t.typname::text FROM pg_type t
        WHERE t.typnamespace = to_regnamespace('warehouse')
            AND (
                t.typtype IN ('c', 'd', 'e', 'm', 'r')
                OR t.typtype = 'b' AND t.typelem = 0 AND EXISTS (
                    SELECT FROM pg_depend d
                    JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
                    JOIN pg_available_extension_versions v ON v.name = e.extname AND v.version = e.extversion
                    WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e' AND v.trusted
                )
            )
    ) AS types
