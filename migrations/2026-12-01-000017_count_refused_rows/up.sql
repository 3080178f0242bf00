-- The rows of a content that were refused when it was loaded. A content without all its rows is loaded again.
ALTER TABLE catalog.table_loads
    ADD COLUMN refused_count bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT table_loads_refused_count_check CHECK (refused_count >= 0);
