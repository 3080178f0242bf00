-- The functions of the warehouse that SQL may call, and the types that it may name.
SELECT
    ARRAY(
        SELECT p.proname::text FROM pg_proc p
        WHERE p.pronamespace = to_regnamespace('warehouse') AND p.prokind IN ('f', 'a', 'w')
        GROUP BY p.proname
        HAVING bool_and(p.provolatile <> 'v' AND NOT p.prosecdef)
    ) AS functions,
    ARRAY(
        SELECT t.typname::text FROM pg_type t
        WHERE t.typnamespace = to_regnamespace('warehouse') AND t.typtype IN ('c', 'd', 'e', 'm', 'r')
    ) AS types
