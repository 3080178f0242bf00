CREATE OR REPLACE FUNCTION catalog.versioned(m catalog.metrics) RETURNS jsonb
LANGUAGE sql IMMUTABLE SET search_path = catalog, pg_temp AS $$
    SELECT jsonb_build_array(
        m.query_id, m.query_version, m.title, m.description, m.editable, m.parameters, m.time_column, m.limits,
        m.deleted_at IS NULL
    )
$$;

CREATE OR REPLACE FUNCTION catalog.count_metric_version() RETURNS trigger
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

CREATE OR REPLACE FUNCTION catalog.keep_metric_version() RETURNS trigger
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

ALTER TABLE catalog.metric_versions
DROP COLUMN period;

ALTER TABLE catalog.metrics
DROP COLUMN period;
