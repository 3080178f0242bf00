-- The tables themselves stay in the schema `warehouse`.
DROP TABLE catalog.table_loads;
DROP TABLE catalog.table_versions;
DROP TABLE catalog.tables;
DROP FUNCTION catalog.keep_table_version();
DROP FUNCTION catalog.count_table_version();
