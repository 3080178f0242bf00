ALTER TABLE catalog.table_loads DROP COLUMN refused_count;
