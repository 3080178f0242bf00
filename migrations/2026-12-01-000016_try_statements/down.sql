DROP FUNCTION catalog.try_statement(text);
