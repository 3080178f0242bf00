-- What the server, the database and the role of this session are.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_version_num')::integer / 10000 AS major,
    current_database()::text AS database,
    (SELECT pg_encoding_to_char(d.encoding)::text FROM pg_catalog.pg_database AS d WHERE d.datname = current_database()) AS encoding,
    pg_is_in_recovery() AS is_standby,
    NULL::text AS tls,
    -- A role or function that only this service creates.
    CASE
        WHEN to_regproc('pg_catalog.aurora_version') IS NOT NULL THEN 'Amazon Aurora'
        WHEN to_regrole('rds_superuser') IS NOT NULL THEN 'Amazon RDS'
        WHEN to_regrole('alloydbsuperuser') IS NOT NULL THEN 'Google AlloyDB'
        WHEN to_regrole('cloudsqlsuperuser') IS NOT NULL THEN 'Google Cloud SQL'
        WHEN to_regrole('azure_pg_admin') IS NOT NULL THEN 'Azure Database for PostgreSQL'
        WHEN to_regrole('neon_superuser') IS NOT NULL THEN 'Neon'
        WHEN to_regrole('supabase_admin') IS NOT NULL THEN 'Supabase'
        WHEN to_regrole('tsdbadmin') IS NOT NULL THEN 'Timescale Cloud'
        WHEN to_regrole('avnadmin') IS NOT NULL THEN 'Aiven'
        WHEN to_regrole('doadmin') IS NOT NULL THEN 'DigitalOcean'
    END AS service,
    (SELECT e.extversion FROM pg_catalog.pg_extension AS e WHERE e.extname = 'citus') AS citus,
    current_user::text AS role,
    coalesce(shobj_description(r.oid, 'pg_authid') = 'reader of metricd', false) AS is_reader,
    r.rolsuper AS is_superuser,
    r.rolsuper OR r.rolcreaterole AS may_create_roles,
    has_database_privilege(current_database(), 'CREATE') AS may_create_schemas
FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
