-- The faults of the current role, as the rest of a sentence about it; no row if it has none. Covers every schema of
-- the database and privileges through PUBLIC. Membership in another role is a fault, so no privilege comes that way.
-- $1 are the data schemas, $2 those of metricd. The kind is `mended` if `metricd migrate` mends the fault, `lasting` if it does not, and
-- `other_schemas` if the fault is the search path of other data schemas. The path of the session is pg_catalog, so
-- that no function of a data schema is called; its role's is the value to which it would be reset.
WITH me AS (
    SELECT r.* FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
), schemas AS (
    SELECT n.oid, n.nspname, pg_catalog.quote_ident(n.nspname) AS name FROM pg_catalog.pg_namespace AS n
    WHERE n.nspname !~ '^pg_(toast_)?temp_'
), lasting AS (
    SELECT 'it is a superuser' AS fault FROM me WHERE rolsuper
    UNION ALL SELECT 'it may create roles or databases, replicate, or bypass row-level security' FROM me
    WHERE rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls
    UNION ALL SELECT 'it is a member of `' || r.rolname || '`' FROM pg_catalog.pg_roles AS r
    WHERE r.rolname <> current_user AND pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')
    UNION ALL SELECT 'it owns ' || pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid)
    FROM pg_catalog.pg_shdepend AS d, me
    WHERE d.refclassid = 'pg_catalog.pg_authid'::regclass AND d.refobjid = me.oid AND d.deptype = 'o'
    -- It can change its own user mapping only with USAGE on the server.
    AND d.classid <> 'pg_catalog.pg_user_mapping'::regclass
    AND d.dbid IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
    UNION ALL SELECT 'it may create in the database' WHERE has_database_privilege(current_database(), 'CREATE')
    UNION ALL SELECT 'it may create in the schema `' || n.name || '`' FROM schemas AS n
    WHERE has_schema_privilege(n.oid, 'CREATE')
    UNION ALL SELECT 'it may write `' || n.name || '.' || quote_ident(c.relname) || '`, reference it, or create triggers on it'
    FROM pg_catalog.pg_class AS c JOIN schemas AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND (
        has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
        OR has_any_column_privilege(c.oid, 'INSERT, UPDATE, REFERENCES')
    )
    -- A write to it does what SET does, for which PUBLIC needs no privilege.
    AND NOT (n.nspname = 'pg_catalog' AND c.relname = 'pg_settings')
    -- Versions before 17 lack this privilege, which allows locking a table and changing its statistics.
    UNION ALL SELECT 'it may maintain `' || n.name || '.' || quote_ident(c.relname) || '` (MAINTAIN)'
    FROM pg_catalog.pg_class AS c JOIN schemas AS n ON n.oid = c.relnamespace, me
    WHERE EXISTS (
        SELECT FROM pg_catalog.aclexplode(c.relacl) AS a WHERE a.grantee IN (0, me.oid) AND a.privilege_type = 'MAINTAIN'
    )
    UNION ALL SELECT 'it may change the sequence `' || n.name || '.' || quote_ident(c.relname) || '`'
    FROM pg_catalog.pg_class AS c JOIN schemas AS n ON n.oid = c.relnamespace
    WHERE CASE c.relkind WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE, UPDATE') ELSE false END
    UNION ALL SELECT 'it may write a large object, as `' || l.oid || '`'
    FROM pg_catalog.pg_largeobject_metadata AS l, me
    WHERE EXISTS (
        SELECT FROM pg_catalog.aclexplode(l.lomacl) AS a WHERE a.grantee IN (0, me.oid) AND a.privilege_type = 'UPDATE'
    )
    UNION ALL SELECT 'default privileges would let it write what `' || r.rolname || '` creates (ALTER DEFAULT PRIVILEGES)'
    FROM pg_catalog.pg_default_acl AS d JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole, me
    WHERE EXISTS (
        SELECT FROM pg_catalog.aclexplode(d.defaclacl) AS a
        WHERE a.grantee IN (0, me.oid) AND (
            d.defaclobjtype = 'r' AND a.privilege_type <> 'SELECT'
            OR d.defaclobjtype = 'S' AND a.privilege_type <> 'SELECT'
            OR d.defaclobjtype = 'n' AND a.privilege_type = 'CREATE'
        )
    )
    UNION ALL SELECT 'it may call `' || n.name || '.' || quote_ident(p.proname) || '()`, which may write as `'
        || pg_catalog.pg_get_userbyid(p.proowner) || '` (SECURITY DEFINER and VOLATILE)'
    FROM pg_catalog.pg_proc AS p JOIN schemas AS n ON n.oid = p.pronamespace
    WHERE p.prosecdef AND p.provolatile = 'v'
    AND p.prorettype NOT IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype)
    AND has_schema_privilege(n.oid, 'USAGE') AND has_function_privilege(p.oid, 'EXECUTE')
    -- Not by to_regprocedure, which fails for a role without USAGE on the schema.
    AND NOT (n.nspname = 'tenancy' AND p.proname = 'enter' AND p.proargtypes = '25'::pg_catalog.oidvector)
    UNION ALL SELECT 'it may use the foreign server `' || s.srvname || '`' FROM pg_catalog.pg_foreign_server AS s
    WHERE has_server_privilege(s.oid, 'USAGE')
    UNION ALL SELECT 'it may create foreign servers of `' || w.fdwname || '`' FROM pg_catalog.pg_foreign_data_wrapper AS w
    WHERE has_foreign_data_wrapper_privilege(w.oid, 'USAGE')
    UNION ALL SELECT 'it may set `' || p.parname || '`, which only superusers may' FROM pg_catalog.pg_parameter_acl AS p
    WHERE has_parameter_privilege(p.parname, 'SET, ALTER SYSTEM')
), searched AS (
    SELECT path.reset_val AS path, 'search_path=' || path.reset_val = ANY (coalesce(me.rolconfig, '{}')) AS is_chosen
    FROM pg_catalog.pg_settings AS path, me, (
        SELECT string_agg(quote_ident(name), ', ' ORDER BY number)
        FROM unnest($1) WITH ORDINALITY AS searched (name, number)
    ) AS expected (path)
    WHERE path.name = 'search_path' AND replace(path.reset_val, '"', '') <> replace(expected.path, '"', '')
), mended AS (
    SELECT 'the schema `' || name || '` is missing' AS fault
    FROM unnest($2 || $1) AS n (name)
    WHERE to_regnamespace(quote_ident(name)) IS NULL
    UNION ALL SELECT 'its search_path is `' || path || '`' FROM searched WHERE NOT is_chosen
    UNION ALL SELECT 'it may use the schema `catalog`'
    WHERE 'catalog' = ANY ($2) AND has_schema_privilege(to_regnamespace('catalog')::oid, 'USAGE')
    UNION ALL SELECT 'it may not use the schema `' || name || '`' FROM unnest($1 || array_remove($2, 'catalog')) AS n (name)
    WHERE NOT has_schema_privilege(to_regnamespace(quote_ident(name))::oid, 'USAGE')
    UNION ALL SELECT 'its transactions are not read-only by default'
    WHERE current_setting('default_transaction_read_only') <> 'on'
    UNION ALL SELECT 'its statements have no time limit'
    WHERE current_setting('statement_timeout') = '0'
)
SELECT fault, 'lasting' AS kind FROM lasting
UNION ALL SELECT path, 'other_schemas' FROM searched WHERE is_chosen
UNION ALL SELECT fault, 'mended' FROM mended
