-- The schemas besides $2 in which the role $1 may read something or has been granted something, with the roles whose
-- default privileges name it.
WITH reader AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1
), schemas AS (
    SELECT n.oid, n.nspname, n.nspacl FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname <> ALL ($2) AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'catalog', 'tenancy')
), relations AS (
    SELECT c.oid, c.relnamespace, c.relacl FROM pg_catalog.pg_class AS c
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
), grants AS (
    SELECT schemas.oid AS schema, a.grantee FROM schemas, pg_catalog.aclexplode(schemas.nspacl) AS a
    UNION ALL SELECT relations.relnamespace, a.grantee FROM relations, pg_catalog.aclexplode(relations.relacl) AS a
    UNION ALL SELECT relations.relnamespace, a.grantee
    FROM relations JOIN pg_catalog.pg_attribute AS t ON t.attrelid = relations.oid, pg_catalog.aclexplode(t.attacl) AS a
    UNION ALL SELECT d.defaclnamespace, a.grantee
    FROM pg_catalog.pg_default_acl AS d, pg_catalog.aclexplode(d.defaclacl) AS a WHERE d.defaclobjtype = 'r'
), found AS (
    SELECT
        schemas.nspname::text AS schema,
        EXISTS (SELECT FROM grants WHERE grants.schema = schemas.oid AND grants.grantee = reader.oid) AS has_grants,
        has_schema_privilege(reader.oid, schemas.oid, 'USAGE') AND EXISTS (
            SELECT FROM relations
            WHERE relations.relnamespace = schemas.oid AND has_any_column_privilege(reader.oid, relations.oid, 'SELECT')
        ) AS is_readable,
        ARRAY(
            SELECT r.rolname::text
            FROM pg_catalog.pg_default_acl AS d JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole
            WHERE d.defaclnamespace = schemas.oid AND d.defaclobjtype = 'r'
            AND EXISTS (SELECT FROM pg_catalog.aclexplode(d.defaclacl) AS a WHERE a.grantee = reader.oid)
            ORDER BY 1
        ) AS creators
    FROM schemas, reader
)
SELECT schema, has_grants, creators FROM found WHERE has_grants OR is_readable ORDER BY schema
