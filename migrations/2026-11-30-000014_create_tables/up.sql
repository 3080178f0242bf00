-- Tables that ingestions make from files, in the schema `warehouse`: their definitions, versions, and what was loaded.

CREATE TABLE catalog.tables (
    table_name text COLLATE "C" NOT NULL,
    -- The type Table of metricd-domain.
    definition jsonb NOT NULL,
    version integer NOT NULL DEFAULT 1,
    -- When its definition or its rows last changed, and who changed them.
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by jsonb NOT NULL,
    -- Since when there is no such table any more.
    deleted_at timestamptz,
    CONSTRAINT tables_pkey PRIMARY KEY (table_name),
    CONSTRAINT tables_table_name_check CHECK (octet_length(table_name) BETWEEN 1 AND 54),
    CONSTRAINT tables_definition_check CHECK (definition ->> 'name' = table_name),
    CONSTRAINT tables_version_check CHECK (version >= 1),
    CONSTRAINT tables_changed_by_check CHECK (changed_by ? 'way')
);

-- What each table was after each change of its definition.
CREATE TABLE catalog.table_versions (
    table_name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    action text NOT NULL,
    definition jsonb NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by jsonb NOT NULL,
    CONSTRAINT table_versions_pkey PRIMARY KEY (table_name, version),
    CONSTRAINT table_versions_table_name_fkey FOREIGN KEY (table_name) REFERENCES catalog.tables (table_name) ON DELETE CASCADE,
    CONSTRAINT table_versions_action_check CHECK (action IN ('created', 'changed', 'deleted'))
);

-- The contents that were loaded into a table and would change nothing if they were loaded again.
CREATE TABLE catalog.table_loads (
    table_name text COLLATE "C" NOT NULL,
    -- They are loaded in this order.
    position bigint GENERATED ALWAYS AS IDENTITY,
    -- The digest of the content of the file.
    digest bytea NOT NULL,
    row_count bigint NOT NULL,
    loaded_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT table_loads_pkey PRIMARY KEY (table_name, position),
    CONSTRAINT table_loads_table_name_fkey FOREIGN KEY (table_name) REFERENCES catalog.tables (table_name) ON DELETE CASCADE,
    CONSTRAINT table_loads_digest_check CHECK (octet_length(digest) = 32),
    CONSTRAINT table_loads_row_count_check CHECK (row_count >= 0)
);

CREATE FUNCTION catalog.count_table_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    NEW.changed_by := catalog.actor(NEW.changed_by);
    NEW.changed_at := now();
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
    ELSIF (OLD.definition, OLD.deleted_at IS NULL) IS DISTINCT FROM (NEW.definition, NEW.deleted_at IS NULL) THEN
        NEW.version := OLD.version + 1;
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER tables_count_version
BEFORE INSERT OR UPDATE ON catalog.tables
FOR EACH ROW EXECUTE FUNCTION catalog.count_table_version();

CREATE FUNCTION catalog.keep_table_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.version = NEW.version THEN
        RETURN NULL;
    END IF;
    INSERT INTO catalog.table_versions (table_name, version, action, definition, changed_at, changed_by)
    VALUES (
        NEW.table_name,
        NEW.version,
        CASE
            WHEN NEW.deleted_at IS NOT NULL THEN 'deleted'
            WHEN TG_OP = 'INSERT' OR OLD.deleted_at IS NOT NULL THEN 'created'
            ELSE 'changed'
        END,
        NEW.definition,
        NEW.changed_at,
        NEW.changed_by
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER tables_keep_version
AFTER INSERT OR UPDATE ON catalog.tables
FOR EACH ROW EXECUTE FUNCTION catalog.keep_table_version();
