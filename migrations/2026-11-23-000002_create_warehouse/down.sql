DROP TABLE warehouse.metrics;
DROP SCHEMA warehouse;
