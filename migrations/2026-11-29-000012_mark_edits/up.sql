-- What was changed since files last wrote it: ingestions keep such an edit unless they are told to overwrite it.
ALTER TABLE catalog.queries
-- The edit's author, as the type Actor of metricd-domain writes it. NULL if files wrote, or repeated, the current SQL.
ADD COLUMN edited_by jsonb,
ADD COLUMN edited_at timestamptz,
ADD CONSTRAINT queries_edited_check CHECK ((edited_by IS NULL) = (edited_at IS NULL));

ALTER TABLE catalog.metrics
ADD COLUMN edited_by jsonb,
ADD COLUMN edited_at timestamptz,
ADD CONSTRAINT metrics_edited_check CHECK ((edited_by IS NULL) = (edited_at IS NULL));

-- An author without a subject who wrote into the database is one from before authors were recorded, when only files wrote.
UPDATE catalog.queries SET edited_by = changed_by, edited_at = updated_at
WHERE changed_by ->> 'way' <> 'ingestion' AND changed_by <> '{"way": "database"}';

UPDATE catalog.metrics AS m SET edited_by = m.changed_by, edited_at = m.updated_at
WHERE NOT EXISTS (
    SELECT FROM (
        SELECT DISTINCT ON (v.metric_id) v.*
        FROM catalog.metric_versions AS v
        WHERE v.metric_id = m.metric_id AND (v.changed_by ->> 'way' = 'ingestion' OR v.changed_by = '{"way": "database"}')
        ORDER BY v.metric_id ASC, v.version DESC
    ) AS v
    WHERE
        (v.query_id, v.editable, v.parameters, v.time_column, v.limits)
        IS NOT DISTINCT FROM (m.query_id, m.editable, m.parameters, m.time_column, m.limits)
);

CREATE FUNCTION catalog.mark_query_edit() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    IF NEW.changed_by ->> 'way' = 'ingestion' THEN
        NEW.edited_by := NULL;
        NEW.edited_at := NULL;
    ELSE
        NEW.edited_by := NEW.changed_by;
        NEW.edited_at := now();
    END IF;
    RETURN NEW;
END
$$;

-- PostgreSQL fires triggers in the order of their names: these two after the ones that settle the author.
CREATE TRIGGER queries_mark_first_edit
BEFORE INSERT ON catalog.queries
FOR EACH ROW EXECUTE FUNCTION catalog.mark_query_edit();

CREATE TRIGGER queries_mark_edit
BEFORE UPDATE ON catalog.queries
FOR EACH ROW WHEN (OLD.sql IS DISTINCT FROM NEW.sql)
EXECUTE FUNCTION catalog.mark_query_edit();

CREATE FUNCTION catalog.mark_metric_edit() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
DECLARE
    declared catalog.metrics;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        -- Files declare everything that a version is about but these.
        declared := NEW;
        declared.query_version := OLD.query_version;
        declared.title := OLD.title;
        declared.description := OLD.description;
        declared.deleted_at := OLD.deleted_at;
        IF catalog.versioned(OLD) = catalog.versioned(declared) THEN
            RETURN NEW;
        END IF;
    END IF;
    IF NEW.changed_by ->> 'way' = 'ingestion' THEN
        NEW.edited_by := NULL;
        NEW.edited_at := NULL;
    ELSE
        NEW.edited_by := NEW.changed_by;
        NEW.edited_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER metrics_mark_first_edit
BEFORE INSERT ON catalog.metrics
FOR EACH ROW EXECUTE FUNCTION catalog.mark_metric_edit();

CREATE TRIGGER metrics_mark_edit
BEFORE UPDATE ON catalog.metrics
FOR EACH ROW WHEN (catalog.versioned(OLD) <> catalog.versioned(NEW))
EXECUTE FUNCTION catalog.mark_metric_edit();
