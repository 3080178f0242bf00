DROP TRIGGER metrics_tell ON catalog.metrics;
DROP TRIGGER queries_tell ON catalog.queries;
DROP FUNCTION catalog.tell_of_definitions();
DROP TRIGGER metrics_end_contract ON catalog.metrics;
DROP FUNCTION catalog.end_contract();

CREATE OR REPLACE FUNCTION catalog.keep_query_version() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    INSERT INTO catalog.query_history (query_id, version, sql, created_at)
    VALUES (OLD.query_id, OLD.version, OLD.sql, OLD.updated_at);
    NEW.version := OLD.version + 1;
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

ALTER TABLE catalog.metrics
DROP COLUMN contract,
DROP COLUMN limits,
DROP COLUMN time_column,
DROP COLUMN parameters;
