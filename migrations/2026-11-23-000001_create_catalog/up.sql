-- What metricd knows: queries, the metrics that show them, dashboards, ingestions. The role that runs stored SQL sees none
-- of it. The limits below are those of the types in metricd-domain. The schema `catalog` exists already: the program
-- creates it together with the table of applied migrations.

CREATE TABLE catalog.queries (
    query_id text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    sql text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When the current version became the current one.
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT queries_pkey PRIMARY KEY (query_id),
    CONSTRAINT queries_query_id_check CHECK (query_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT queries_version_check CHECK (version >= 1),
    CONSTRAINT queries_sql_blank_check CHECK (sql ~ '\S'),
    CONSTRAINT queries_sql_size_check CHECK (octet_length(sql) <= 100000)
);

-- The versions of a query that a later one has replaced. The current one is in catalog.queries alone.
CREATE TABLE catalog.query_history (
    query_id text NOT NULL,
    version integer NOT NULL,
    sql text NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT query_history_pkey PRIMARY KEY (query_id, version),
    CONSTRAINT query_history_query_id_fkey FOREIGN KEY (query_id) REFERENCES catalog.queries (query_id) ON DELETE CASCADE,
    CONSTRAINT query_history_version_check CHECK (version >= 1)
);

-- A trigger, so that whoever changes the SQL, by whatever way, makes a version and keeps the old one.
CREATE FUNCTION catalog.keep_query_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    INSERT INTO catalog.query_history (query_id, version, sql, created_at)
    VALUES (OLD.query_id, OLD.version, OLD.sql, OLD.updated_at);
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER queries_keep_version
BEFORE UPDATE ON catalog.queries
FOR EACH ROW WHEN (OLD.sql IS DISTINCT FROM NEW.sql)
EXECUTE FUNCTION catalog.keep_query_version();

CREATE TABLE catalog.metrics (
    -- Listed in the order of their characters' codes, whatever the database's collation.
    metric_id text COLLATE "C" NOT NULL,
    query_id text NOT NULL,
    editable boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT metrics_pkey PRIMARY KEY (metric_id),
    CONSTRAINT metrics_metric_id_check CHECK (metric_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT metrics_query_id_fkey FOREIGN KEY (query_id) REFERENCES catalog.queries (query_id)
);

CREATE INDEX metrics_query_id_idx ON catalog.metrics (query_id);

CREATE TABLE catalog.dashboards (
    dashboard_id text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT dashboards_pkey PRIMARY KEY (dashboard_id),
    CONSTRAINT dashboards_dashboard_id_check CHECK (dashboard_id ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT dashboards_name_check CHECK (name ~ '\S' AND char_length(name) <= 200)
);

CREATE TABLE catalog.dashboard_items (
    dashboard_id text NOT NULL,
    metric_id text NOT NULL,
    -- Items stand in the order in which they were first stored.
    position bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT dashboard_items_pkey PRIMARY KEY (dashboard_id, metric_id),
    CONSTRAINT dashboard_items_dashboard_id_fkey
    FOREIGN KEY (dashboard_id) REFERENCES catalog.dashboards (dashboard_id) ON DELETE CASCADE,
    CONSTRAINT dashboard_items_metric_id_fkey FOREIGN KEY (metric_id) REFERENCES catalog.metrics (metric_id)
);

CREATE INDEX dashboard_items_metric_id_idx ON catalog.dashboard_items (metric_id);

CREATE TABLE catalog.layout_entries (
    dashboard_id text NOT NULL,
    breakpoint text NOT NULL,
    metric_id text NOT NULL,
    x integer NOT NULL,
    y integer NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    is_static boolean NOT NULL,
    position bigint GENERATED ALWAYS AS IDENTITY,
    CONSTRAINT layout_entries_pkey PRIMARY KEY (dashboard_id, breakpoint, metric_id),
    CONSTRAINT layout_entries_dashboard_item_fkey
    FOREIGN KEY (dashboard_id, metric_id)
    REFERENCES catalog.dashboard_items (dashboard_id, metric_id) ON DELETE CASCADE,
    CONSTRAINT layout_entries_breakpoint_check CHECK (breakpoint IN ('lg', 'md', 'sm', 'xs', 'xxs')),
    CONSTRAINT layout_entries_x_check CHECK (x BETWEEN 0 AND 1000),
    CONSTRAINT layout_entries_y_check CHECK (y BETWEEN 0 AND 10000000),
    CONSTRAINT layout_entries_width_check CHECK (width BETWEEN 1 AND 1000),
    CONSTRAINT layout_entries_height_check CHECK (height BETWEEN 1 AND 1000)
);

CREATE INDEX layout_entries_dashboard_item_idx ON catalog.layout_entries (dashboard_id, metric_id);

-- A report is written once and read whole, so it is kept as the document that it is.
CREATE TABLE catalog.ingestions (
    ingestion_id uuid NOT NULL,
    report jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ingestions_pkey PRIMARY KEY (ingestion_id)
);
