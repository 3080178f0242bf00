DROP TRIGGER metrics_mark_edit ON catalog.metrics;
DROP TRIGGER metrics_mark_first_edit ON catalog.metrics;
DROP FUNCTION catalog.mark_metric_edit();

DROP TRIGGER queries_mark_edit ON catalog.queries;
DROP TRIGGER queries_mark_first_edit ON catalog.queries;
DROP FUNCTION catalog.mark_query_edit();

ALTER TABLE catalog.metrics DROP COLUMN edited_by, DROP COLUMN edited_at;
ALTER TABLE catalog.queries DROP COLUMN edited_by, DROP COLUMN edited_at;
