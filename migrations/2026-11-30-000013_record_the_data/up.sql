-- The database that stored SQL was validated in, if it is another one than this. Without a row it is this one.
CREATE TABLE catalog.data_source (
    is_only boolean NOT NULL DEFAULT true,
    -- The identifier of its cluster; NULL if the reader may not know it.
    cluster bigint,
    -- Its oid.
    database bigint NOT NULL,
    -- Its name, for messages.
    name text NOT NULL,
    CONSTRAINT data_source_pkey PRIMARY KEY (is_only),
    CONSTRAINT data_source_is_only_check CHECK (is_only)
);
