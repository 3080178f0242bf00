-- What the role $1, which need not exist, may do in the schema $2.
WITH schema AS (
    SELECT oid, nspowner, nspacl FROM pg_catalog.pg_namespace WHERE nspname = $2
), reader AS (
    SELECT (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1) AS oid
), relations AS (
    SELECT c.oid, c.relname, c.relacl, c.relowner
    FROM pg_catalog.pg_class AS c JOIN schema ON schema.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
), grants AS (
    SELECT a.grantee FROM schema, pg_catalog.aclexplode(schema.nspacl) AS a
    UNION ALL SELECT a.grantee FROM relations, pg_catalog.aclexplode(relations.relacl) AS a
    UNION ALL SELECT a.grantee
    FROM relations JOIN pg_catalog.pg_attribute AS t ON t.attrelid = relations.oid, pg_catalog.aclexplode(t.attacl) AS a
    UNION ALL SELECT a.grantee
    FROM schema JOIN pg_catalog.pg_default_acl AS d ON d.defaclnamespace = schema.oid AND d.defaclobjtype = 'r',
        pg_catalog.aclexplode(d.defaclacl) AS a
), creators AS (
    -- The roles that create tables there, and that give the role no SELECT on those which they create later. Not
    -- `pg_database_owner`, which owns `public` and creates nothing.
    SELECT creator.oid, creator.rolname::text AS name FROM pg_catalog.pg_roles AS creator, schema, reader
    WHERE creator.rolname !~ '^pg_' AND (
        creator.oid = schema.nspowner OR creator.oid IN (SELECT relations.relowner FROM relations)
        OR creator.rolname = current_user AND has_schema_privilege(schema.oid, 'CREATE')
    )
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_default_acl AS d, pg_catalog.aclexplode(d.defaclacl) AS a
        WHERE d.defaclrole = creator.oid AND d.defaclnamespace = schema.oid AND d.defaclobjtype = 'r'
        AND a.grantee = reader.oid AND a.privilege_type = 'SELECT'
    )
)
SELECT
    EXISTS (SELECT FROM grants WHERE grants.grantee = reader.oid) AS has_grants,
    coalesce(has_schema_privilege(reader.oid, schema.oid, 'USAGE'), false) AS is_usable,
    has_schema_privilege(schema.oid, 'USAGE') AS is_usable_by_owner,
    ARRAY(
        SELECT relations.relname::text FROM relations
        WHERE NOT coalesce(has_table_privilege(reader.oid, relations.oid, 'SELECT'), false) ORDER BY 1
    ) AS closed,
    ARRAY(SELECT creators.name FROM creators ORDER BY 1) AS creators,
    ARRAY(SELECT creators.name FROM creators WHERE pg_has_role(creators.oid, 'USAGE') ORDER BY 1) AS own_creators
FROM schema, reader
