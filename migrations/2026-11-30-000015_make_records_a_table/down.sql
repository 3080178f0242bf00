CREATE TABLE IF NOT EXISTS warehouse.metrics (
    id text NOT NULL,
    date date NOT NULL,
    obsolescence numeric,
    alert_type text,
    parts_flagged bigint,
    obsolescence_val numeric,
    alert_category text,
    CONSTRAINT metrics_id_check CHECK (id ~ '^[A-Za-z0-9_-]{1,64}$'),
    CONSTRAINT metrics_date_check CHECK (date BETWEEN '0001-01-01' AND '9999-12-31'),
    CONSTRAINT metrics_obsolescence_check CHECK (obsolescence NOT IN ('NaN', 'Infinity', '-Infinity')),
    CONSTRAINT metrics_obsolescence_val_check CHECK (obsolescence_val NOT IN ('NaN', 'Infinity', '-Infinity')),
    CONSTRAINT metrics_alert_type_check CHECK (char_length(alert_type) BETWEEN 1 AND 1000),
    CONSTRAINT metrics_alert_category_check CHECK (char_length(alert_category) BETWEEN 1 AND 1000)
);

CREATE INDEX IF NOT EXISTS metrics_id_date_idx ON warehouse.metrics (id, date);
