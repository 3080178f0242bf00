DROP TABLE catalog.idempotency_keys;

DROP TRIGGER metrics_keep_version ON catalog.metrics;
DROP TRIGGER metrics_keep_first_version ON catalog.metrics;
DROP TRIGGER metrics_count_version ON catalog.metrics;
DROP TRIGGER metrics_count_first_version ON catalog.metrics;
DROP FUNCTION catalog.keep_metric_version();
DROP FUNCTION catalog.count_metric_version();
DROP FUNCTION catalog.versioned(catalog.metrics);

CREATE OR REPLACE FUNCTION catalog.keep_query_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    INSERT INTO catalog.query_history (query_id, version, sql, created_at)
    VALUES (OLD.query_id, OLD.version, OLD.sql, OLD.updated_at);
    UPDATE catalog.metrics SET contract = NULL WHERE query_id = OLD.query_id AND contract IS NOT NULL;
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

DROP TRIGGER queries_keep_first_version ON catalog.queries;
DROP FUNCTION catalog.actor(jsonb);

CREATE FUNCTION catalog.end_contract() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    NEW.contract := NULL;
    RETURN NEW;
END
$$;

CREATE TRIGGER metrics_end_contract
BEFORE UPDATE ON catalog.metrics
FOR EACH ROW WHEN (
    (OLD.query_id, OLD.parameters, OLD.time_column) IS DISTINCT FROM (NEW.query_id, NEW.parameters, NEW.time_column)
)
EXECUTE FUNCTION catalog.end_contract();

DROP TABLE catalog.metric_versions;

ALTER TABLE catalog.metrics
DROP COLUMN deleted_at,
DROP COLUMN changed_by,
DROP COLUMN query_version,
DROP COLUMN version,
DROP COLUMN description,
DROP COLUMN title;

ALTER TABLE catalog.queries
DROP COLUMN changed_by,
DROP COLUMN title;
