-- The table of records becomes one of those that files make. Without rows it is removed: a file makes it again.
DO $$
BEGIN
    IF to_regclass('warehouse.metrics') IS NULL THEN
        RETURN;
    END IF;
    IF NOT EXISTS (SELECT FROM warehouse.metrics)
        AND NOT EXISTS (
            SELECT FROM pg_depend
            WHERE refobjid = 'warehouse.metrics'::regclass AND deptype = 'n' AND classid = 'pg_rewrite'::regclass
        ) THEN
        DROP TABLE warehouse.metrics;
        RETURN;
    END IF;
    -- Rules of records, which files now declare themselves or do not have.
    ALTER TABLE warehouse.metrics
        DROP CONSTRAINT IF EXISTS metrics_id_check,
        DROP CONSTRAINT IF EXISTS metrics_date_check,
        DROP CONSTRAINT IF EXISTS metrics_obsolescence_check,
        DROP CONSTRAINT IF EXISTS metrics_obsolescence_val_check,
        DROP CONSTRAINT IF EXISTS metrics_alert_type_check,
        DROP CONSTRAINT IF EXISTS metrics_alert_category_check;
    INSERT INTO catalog.tables (table_name, definition, changed_by) VALUES ('metrics', '{
        "name": "metrics",
        "file": "records.csv",
        "columns": [
            {"name": "id", "type": "text", "required": true},
            {"name": "date", "type": "date", "required": true},
            {"name": "obsolescence", "type": "numeric", "required": false},
            {"name": "alert_type", "type": "text", "required": false},
            {"name": "parts_flagged", "type": "bigint", "required": false},
            {"name": "obsolescence_val", "type": "numeric", "required": false},
            {"name": "alert_category", "type": "text", "required": false}
        ],
        "load": "multiset",
        "declared": true
    }', '{"way": "database"}');
END
$$;
