DROP TABLE catalog.ingestions;
DROP TABLE catalog.layout_entries;
DROP TABLE catalog.dashboard_items;
DROP TABLE catalog.dashboards;
DROP TABLE catalog.metrics;
DROP TABLE catalog.query_history;
DROP TABLE catalog.queries;
DROP FUNCTION catalog.keep_query_version();
