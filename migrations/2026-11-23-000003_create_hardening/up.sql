-- What `metricd migrate --harden` has taken from PUBLIC in this database, so that it can give back exactly that.
CREATE TABLE catalog.taken_rights (
    privilege text NOT NULL,
    -- The function as `pg_catalog.name(argument types)`, or the word `database` for this database.
    object text NOT NULL,
    -- The role that was granted the right by name, since it had it by PUBLIC only and is to keep it.
    granted_to text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT taken_rights_pkey PRIMARY KEY (privilege, object),
    CONSTRAINT taken_rights_privilege_check CHECK (privilege IN ('EXECUTE', 'TEMPORARY'))
);
