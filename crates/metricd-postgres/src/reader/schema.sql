-- What the role $1 may do in the schema $2. `has_access`: whether it needs no grants on the tables there. In `warehouse`,
-- which is metricd's own, it reads every table; in another schema the operator may have taken away some, so one grant
-- suffices. `is_usable`: whether the current user may name the tables. `creators`: the roles of which the current user is a member that own the schema or tables in it, or that are
-- the current user, and that give the role no SELECT on tables which they create later.
WITH tables AS (
    SELECT c.oid, c.relacl, c.relowner FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = $2 AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
)
SELECT
    has_schema_privilege(me.oid, n.oid, 'USAGE') AND CASE
        WHEN n.nspname = 'warehouse' THEN NOT EXISTS (SELECT FROM tables WHERE NOT has_table_privilege(me.oid, tables.oid, 'SELECT'))
        ELSE NOT EXISTS (SELECT FROM tables) OR EXISTS (
            SELECT FROM tables, aclexplode(tables.relacl) AS a WHERE a.grantee = me.oid AND a.privilege_type = 'SELECT'
        )
    END AS has_access,
    has_schema_privilege(n.oid, 'USAGE') AS is_usable,
    ARRAY(
        SELECT creator.rolname::text FROM pg_catalog.pg_roles AS creator
        WHERE (
            creator.oid = n.nspowner OR creator.oid IN (SELECT tables.relowner FROM tables)
            OR creator.rolname = current_user AND has_schema_privilege(n.oid, 'CREATE')
        )
        AND pg_has_role(creator.oid, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM pg_catalog.pg_default_acl AS d, aclexplode(d.defaclacl) AS a
            WHERE d.defaclrole = creator.oid AND d.defaclnamespace = n.oid AND d.defaclobjtype = 'r'
            AND a.grantee = me.oid AND a.privilege_type = 'SELECT'
        )
        ORDER BY 1
    ) AS creators
FROM pg_catalog.pg_roles AS me CROSS JOIN pg_catalog.pg_namespace AS n
WHERE me.rolname = $1 AND n.nspname = $2
