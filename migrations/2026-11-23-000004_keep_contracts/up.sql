-- What a metric declares of its parameters and limits, and what PostgreSQL said of its SQL.
ALTER TABLE catalog.metrics
ADD COLUMN parameters jsonb NOT NULL DEFAULT '[]',
ADD COLUMN time_column text,
ADD COLUMN limits jsonb NOT NULL DEFAULT '{}',
-- NULL where nobody has asked since the SQL or the declarations have changed.
ADD COLUMN contract jsonb,
ADD CONSTRAINT metrics_parameters_check CHECK (jsonb_typeof(parameters) = 'array'),
ADD CONSTRAINT metrics_limits_check CHECK (jsonb_typeof(limits) = 'object'),
ADD CONSTRAINT metrics_contract_check CHECK (jsonb_typeof(contract) = 'object');

-- A contract is about one SQL and one set of declarations. Whoever changes those, by whatever way, ends it.
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

-- Servers keep definitions in memory. Each of them is told when one changes, and when the transaction is through.
CREATE FUNCTION catalog.tell_of_definitions() RETURNS trigger
LANGUAGE plpgsql SET search_path = catalog, pg_temp AS $$
BEGIN
    NOTIFY metricd_definitions;
    RETURN NULL;
END
$$;

CREATE TRIGGER queries_tell
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalog.queries
FOR EACH STATEMENT EXECUTE FUNCTION catalog.tell_of_definitions();

CREATE TRIGGER metrics_tell
AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON catalog.metrics
FOR EACH STATEMENT EXECUTE FUNCTION catalog.tell_of_definitions();
