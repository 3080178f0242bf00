-- Runs a statement that may fail because of what others have made of a table, and returns the error instead of raising it:
-- the driver of the catalog does not report the SQLSTATE. Only the statement is rolled back.
CREATE FUNCTION catalog.try_statement(
    statement text,
    OUT row_count bigint,
    OUT error_code text,
    OUT message text,
    OUT detail text,
    OUT of_table text,
    OUT of_column text
)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS row_count = ROW_COUNT;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS
        error_code = RETURNED_SQLSTATE,
        message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL,
        of_table = TABLE_NAME,
        of_column = COLUMN_NAME;
END
$$;

REVOKE EXECUTE ON FUNCTION catalog.try_statement(text) FROM PUBLIC;
