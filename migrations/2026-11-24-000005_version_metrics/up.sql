-- What a metric is called, who changed it and when, what it was before, and whether it is in service.

-- The title in the SQL's leading comment, so that it can be searched for.
ALTER TABLE catalog.queries
ADD COLUMN title text GENERATED ALWAYS AS (
    nullif(btrim(substring(sql FROM '^\s*---*([^\n]*)'), E' \t\r\f\v'), '')
) STORED,
-- Who made the current version, as the type Actor of metricd-domain writes it.
ADD COLUMN changed_by jsonb NOT NULL DEFAULT '{"way": "database"}',
ADD CONSTRAINT queries_changed_by_check CHECK (changed_by ? 'way');

ALTER TABLE catalog.metrics
ADD COLUMN title text,
ADD COLUMN description text,
-- Counts the changes of everything but the contract.
ADD COLUMN version integer NOT NULL DEFAULT 1,
ADD COLUMN query_version integer NOT NULL DEFAULT 1,
ADD COLUMN changed_by jsonb NOT NULL DEFAULT '{"way": "database"}',
-- Since when the metric is out of service.
ADD COLUMN deleted_at timestamptz,
ADD CONSTRAINT metrics_title_check CHECK (title ~ '\S' AND char_length(title) <= 200),
ADD CONSTRAINT metrics_description_check CHECK (description ~ '\S' AND char_length(description) <= 2000),
ADD CONSTRAINT metrics_version_check CHECK (version >= 1),
ADD CONSTRAINT metrics_query_version_check CHECK (query_version >= 1),
ADD CONSTRAINT metrics_changed_by_check CHECK (changed_by ? 'way');

CREATE INDEX metrics_deleted_at_idx ON catalog.metrics (deleted_at) WHERE deleted_at IS NOT NULL;

-- What each metric was after each change. Its SQL is that version of its query, in catalog.queries or catalog.query_history.
CREATE TABLE catalog.metric_versions (
    metric_id text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    action text NOT NULL,
    changed_at timestamptz NOT NULL,
    changed_by jsonb NOT NULL,
    query_id text NOT NULL,
    query_version integer NOT NULL,
    title text,
    description text,
    editable boolean NOT NULL,
    parameters jsonb NOT NULL,
    time_column text,
    limits jsonb NOT NULL,
    CONSTRAINT metric_versions_pkey PRIMARY KEY (metric_id, version),
    CONSTRAINT metric_versions_metric_id_fkey FOREIGN KEY (metric_id) REFERENCES catalog.metrics (metric_id) ON DELETE CASCADE,
    CONSTRAINT metric_versions_query_id_fkey FOREIGN KEY (query_id) REFERENCES catalog.queries (query_id),
    CONSTRAINT metric_versions_action_check CHECK (action IN ('created', 'changed', 'deleted', 'restored'))
);

CREATE INDEX metric_versions_query_id_idx ON catalog.metric_versions (query_id);

UPDATE catalog.metrics AS m SET query_version = q.version FROM catalog.queries AS q WHERE q.query_id = m.query_id;

INSERT INTO catalog.metric_versions
SELECT metric_id, version, 'created', created_at, changed_by, query_id, query_version, title, description, editable,
    parameters, time_column, limits
FROM catalog.metrics;

-- Whoever writes says who he is, with the key "said" beside, which is not kept: so that what somebody said of an earlier change
-- is not taken for his word on this one. One who does not is the role that he is in the database.
CREATE FUNCTION catalog.actor(said jsonb) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = catalog, pg_temp AS $$
    SELECT CASE
        WHEN said ? 'said' THEN said - 'said'
        ELSE jsonb_build_object('way', 'database', 'subject', session_user)
    END
$$;

-- A version of a query is a change of every metric that reads it.
CREATE OR REPLACE FUNCTION catalog.keep_query_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    NEW.changed_by := catalog.actor(NEW.changed_by);
    IF TG_OP = 'INSERT' THEN
        RETURN NEW;
    END IF;
    INSERT INTO catalog.query_history (query_id, version, sql, created_at)
    VALUES (OLD.query_id, OLD.version, OLD.sql, OLD.updated_at);
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    UPDATE catalog.metrics
    SET contract = NULL, query_version = NEW.version, changed_by = NEW.changed_by || '{"said": true}'
    WHERE query_id = OLD.query_id;
    RETURN NEW;
END
$$;

CREATE TRIGGER queries_keep_first_version
BEFORE INSERT ON catalog.queries
FOR EACH ROW EXECUTE FUNCTION catalog.keep_query_version();

DROP TRIGGER metrics_end_contract ON catalog.metrics;
DROP FUNCTION catalog.end_contract();

-- What a version of a metric is about.
CREATE FUNCTION catalog.versioned(m catalog.metrics) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = catalog, pg_temp AS $$
    SELECT jsonb_build_array(
        m.query_id, m.query_version, m.title, m.description, m.editable, m.parameters, m.time_column, m.limits,
        m.deleted_at IS NULL
    )
$$;

CREATE FUNCTION catalog.count_metric_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' OR OLD.query_id <> NEW.query_id THEN
        NEW.query_version := coalesce((SELECT q.version FROM catalog.queries AS q WHERE q.query_id = NEW.query_id), 1);
    END IF;
    NEW.changed_by := catalog.actor(NEW.changed_by);
    IF TG_OP = 'INSERT' THEN
        NEW.version := 1;
        RETURN NEW;
    END IF;
    -- A contract is about one SQL and one set of declarations.
    IF (OLD.query_id, OLD.query_version, OLD.parameters, OLD.time_column)
        IS DISTINCT FROM (NEW.query_id, NEW.query_version, NEW.parameters, NEW.time_column) THEN
        NEW.contract := NULL;
    END IF;
    -- What one transaction changes is one version.
    IF OLD.updated_at <> now() THEN
        NEW.version := OLD.version + 1;
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER metrics_count_first_version
BEFORE INSERT ON catalog.metrics
FOR EACH ROW EXECUTE FUNCTION catalog.count_metric_version();

CREATE TRIGGER metrics_count_version
BEFORE UPDATE ON catalog.metrics
FOR EACH ROW WHEN (catalog.versioned(OLD) <> catalog.versioned(NEW))
EXECUTE FUNCTION catalog.count_metric_version();

CREATE FUNCTION catalog.keep_metric_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
DECLARE
    action text := 'changed';
BEGIN
    IF TG_OP = 'INSERT' THEN
        action := 'created';
    ELSIF OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL THEN
        action := 'deleted';
    ELSIF OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL THEN
        action := 'restored';
    END IF;
    INSERT INTO catalog.metric_versions VALUES (
        NEW.metric_id, NEW.version, action, NEW.updated_at, NEW.changed_by, NEW.query_id, NEW.query_version, NEW.title,
        NEW.description, NEW.editable, NEW.parameters, NEW.time_column, NEW.limits
    )
    ON CONFLICT ON CONSTRAINT metric_versions_pkey DO UPDATE SET
        action = CASE
            WHEN metric_versions.action = 'created' OR excluded.action = 'changed' THEN metric_versions.action
            ELSE excluded.action
        END,
        changed_by = excluded.changed_by, query_id = excluded.query_id, query_version = excluded.query_version, title = excluded.title,
        description = excluded.description, editable = excluded.editable, parameters = excluded.parameters,
        time_column = excluded.time_column, limits = excluded.limits;
    RETURN NULL;
END
$$;

CREATE TRIGGER metrics_keep_first_version
AFTER INSERT ON catalog.metrics
FOR EACH ROW EXECUTE FUNCTION catalog.keep_metric_version();

CREATE TRIGGER metrics_keep_version
AFTER UPDATE ON catalog.metrics
FOR EACH ROW WHEN (catalog.versioned(OLD) <> catalog.versioned(NEW))
EXECUTE FUNCTION catalog.keep_metric_version();

-- What requests of a client's key were answered, for a day, so that one which is sent again is not done again.
CREATE TABLE catalog.idempotency_keys (
    operation text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    -- NULL only within the transaction that makes it.
    answer jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (operation, key),
    CONSTRAINT idempotency_keys_operation_check CHECK (operation IN ('metric', 'ingestion')),
    CONSTRAINT idempotency_keys_key_check CHECK (char_length(key) BETWEEN 1 AND 255)
);

CREATE INDEX idempotency_keys_created_at_idx ON catalog.idempotency_keys (created_at);
