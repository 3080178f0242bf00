DROP TABLE catalog.data_source;
