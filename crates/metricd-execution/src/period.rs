//! Rewrites SQL for a period: inserts `:start_date` and `:end_date` into the author's text. The rewritten SQL is
//! validated like any other.

use std::fmt;

use metricd_domain::{ContractTable, Period, PeriodColumn, PeriodSource, SqlText};

use crate::arguments::is_period;
use crate::guard::{TableUse, Uses, uses};
use crate::position::LineIndex;
use crate::rewritten_sql::RewrittenSql;
use crate::{Position, Statement};
use metricd_database::quote_identifier;

/// The clock that decides the day of an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// UTC, in which days begin at midnight. It is the session's time zone.
    Utc,
    /// That of the session's time zone, where midnight may be skipped or may come twice.
    Session,
}

/// Rewrites a statement that reads these tables, for requests with a period of days by this clock. `None` if it needs no
/// rewrite, or if no period applies to it.
///
/// # Errors
///
/// Why the statement cannot be rewritten.
pub(crate) fn rewritten(
    statement: &Statement,
    period: &Period,
    tables: &[ContractTable],
    clock: Clock,
) -> Option<Result<Statement, String>> {
    match period {
        Period::Narrowed(source) => Some(narrowed(statement, source, tables, clock)),
        Period::Result(column) => Some(filtered(statement, column, clock)),
        Period::Bound | Period::Unsupported { .. } => None,
    }
}

/// Rewrites the statement to read only the rows of its source that are inside the period. This covers every use of the
/// source: in joins, subqueries and WITH queries, under an alias, with or without the schema.
///
/// A subquery replaces the table. PostgreSQL pulls the subquery up, so it can use indexes on the time column.
pub(crate) fn narrowed(
    statement: &Statement,
    source: &PeriodSource,
    read: &[ContractTable],
    clock: Clock,
) -> Result<Statement, String> {
    let uses = uses(statement);
    let columns = columns(&uses, source, read);
    let Uses { tables, qualifiers, .. } = uses;
    let line_index = LineIndex::of(statement.text());
    let offset = |position: Position| line_index.offset(position);
    let is_source = |schema: &str, table: &str| (schema, table) == (source.schema.as_str(), source.table.as_str());
    // The name without a schema may mean a table of another schema.
    let is_visible = table_of(source, read).is_none_or(|table| table.is_visible);
    let qualifiers = qualifiers.iter().filter(|qualifier| is_source(&qualifier.schema, &qualifier.table));
    let mut edits: Vec<_> =
        qualifiers.map(|qualifier| (offset(qualifier.begin)..offset(qualifier.end), String::new())).collect();
    let reads_source = |read: &&TableUse| match &read.schema {
        Some(schema) => is_source(schema, &read.table),
        None => is_visible && read.table == source.table,
    };
    for read in tables.iter().filter(reads_source) {
        // Written as the author wrote it: a name without a schema means another table once one appears in an earlier
        // schema, whether the request has a period or not.
        let table = TableName { schema: read.schema.as_deref(), table: &source.table };
        let rows = rows_inside(&table, source, &columns, read.only.is_some(), clock);
        let alias = if read.has_alias { String::new() } else { format!(" AS {}", quote_identifier(&source.table)) };
        let select = offset(read.select);
        let is_short = statement.text().get(select..select + 5).is_some_and(|word| word.eq_ignore_ascii_case("table"));
        if is_short {
            edits.push((select..offset(read.end), format!("SELECT * FROM {rows}{alias}")));
        } else {
            edits.push((offset(read.only.unwrap_or(read.begin))..offset(read.end), format!("{rows}{alias}")));
        }
    }
    parsed(RewrittenSql::of(statement.text(), statement.body_range(), edits).text)
}

/// Selects everything from the subquery by which [`narrowed`] replaces the source. PostgreSQL resolves it for
/// comparison.
pub(crate) fn source_rows(
    statement: &Statement,
    source: &PeriodSource,
    read: &[ContractTable],
    clock: Clock,
) -> Result<Statement, String> {
    let columns = columns(&uses(statement), source, read);
    let table = TableName { schema: Some(&source.schema), table: &source.table };
    let rows = rows_inside(&table, source, &columns, false, clock);
    parsed(format!("SELECT * FROM {rows} AS {}", quote_identifier(&source.table)))
}

/// The columns of the source that the statement reads, in the order of the table. Other columns may have a type that
/// stored SQL may not name, or the role may not read them. It is all columns if the meaning of the statement depends on
/// columns that it does not name, because the table may have others now.
fn columns(uses: &Uses, source: &PeriodSource, read: &[ContractTable]) -> String {
    match table_of(source, read) {
        Some(table) if !uses.has_unnamed_columns => {
            table.columns.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>().join(", ")
        }
        _ => "*".to_owned(),
    }
}

/// The source among the tables that the statement reads.
fn table_of<'a>(source: &PeriodSource, read: &'a [ContractTable]) -> Option<&'a ContractTable> {
    read.iter().find(|table| (&table.schema, &table.name) == (&source.schema, &source.table))
}

/// Rewrites the statement to return only the rows of its result that are inside the period. The order is kept, because
/// PostgreSQL filters the rows of a subquery in order.
fn filtered(statement: &Statement, column: &PeriodColumn, clock: Clock) -> Result<Statement, String> {
    let inside = inside(&column.column, clock);
    // A comment may end the last line of the statement.
    parsed(format!("SELECT * FROM (\n{}\n) AS result WHERE {inside}", statement.body()))
}

fn parsed(text: String) -> Result<Statement, String> {
    let sql = SqlText::parse(text).map_err(|error| error.to_string())?;
    let statement = Statement::parse(&sql).map_err(|error| error.to_string())?;
    let takes_days = statement.parameters().iter().filter(|name| is_period(name.as_str())).count() == 2;
    if takes_days { Ok(statement) } else { Err("it does not read the table by its name".to_owned()) }
}

/// The name of a table, with or without its schema.
struct TableName<'a> {
    schema: Option<&'a str>,
    table: &'a str,
}

impl fmt::Display for TableName<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = self.schema {
            write!(formatter, "{}.", quote_identifier(schema))?;
        }
        formatter.write_str(&quote_identifier(self.table))
    }
}

/// A subquery for these columns, with the rows of the source that are inside the period.
fn rows_inside(table: &TableName<'_>, source: &PeriodSource, columns: &str, is_only: bool, clock: Clock) -> String {
    let columns = if columns.is_empty() { String::new() } else { format!("{columns} ") };
    let only = if is_only { "ONLY " } else { "" };
    let inside = inside(&source.column, clock);
    format!("(SELECT {columns}FROM {only}{table} WHERE {inside})")
}

/// The condition for a row inside the period: its time is between the first and the last microsecond of the period,
/// both included. PostgreSQL has no shorter unit of time. `-infinity` and `infinity` are inside a period that is open
/// on their side. The condition is the same for dates and timestamps, because the type of the column may change after
/// validation.
///
/// In a time zone, midnight may not exist, or come twice; then PostgreSQL converts the bounds to an instant up to a day
/// late, and rows between have a day inside the period that the bounds do not. So the lower bound is a day earlier, and
/// the row's own day decides. The bounds are for indexes. The planner estimates `IS NOT NULL` as true for all rows, and a
/// comparison of days as true for one in 200.
fn inside(column: &str, clock: Clock) -> String {
    let column = quote_identifier(column);
    let (first, last) = ("CAST(:start_date AS date)", "CAST(:end_date AS date)");
    let until = format!("{column} <= {last} + INTERVAL '1 day' - INTERVAL '1 microsecond'");
    match clock {
        Clock::Utc => format!("{column} >= {first} AND {until}"),
        Clock::Session => format!(
            "{column} >= {first} - INTERVAL '1 day' AND {until} AND \
             CASE WHEN CAST({column} AS date) >= {first} AND CAST({column} AS date) <= {last} THEN 1 END IS NOT NULL"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sql: &str) -> Statement {
        Statement::parse(&SqlText::parse(sql).unwrap()).unwrap()
    }

    fn narrowed(sql: &str) -> String {
        let source = PeriodSource {
            schema: "warehouse".into(),
            table: "metrics".into(),
            column: "date".into(),
            type_name: "date".into(),
        };
        let text = super::narrowed(&parse(sql), &source, &[], Clock::Utc)
            .map(|statement| statement.body().to_owned())
            .unwrap_or_default();
        let inside = inside("date", Clock::Utc);
        let rows = |name: &str| format!("(SELECT * FROM {name} WHERE {inside})");
        text.replace(&rows("\"metrics\""), "ROWS")
            .replace(&rows("ONLY \"metrics\""), "ONLY_ROWS")
            .replace(&rows("\"warehouse\".\"metrics\""), "WAREHOUSE_ROWS")
            .replace(&rows("ONLY \"warehouse\".\"metrics\""), "WAREHOUSE_ONLY_ROWS")
    }

    #[test]
    fn a_table_is_narrowed_wherever_it_is_read() {
        for (sql, text) in [
            ("SELECT * FROM metrics", "SELECT * FROM ROWS AS \"metrics\""),
            ("SELECT * FROM METRICS m", "SELECT * FROM ROWS m"),
            ("SELECT * FROM warehouse . metrics AS m", "SELECT * FROM WAREHOUSE_ROWS AS m"),
            (
                "SELECT warehouse.metrics.id, warehouse.metrics.* FROM warehouse.metrics",
                "SELECT metrics.id, metrics.* FROM WAREHOUSE_ROWS AS \"metrics\"",
            ),
            ("TABLE metrics", "SELECT * FROM ROWS AS \"metrics\""),
            ("WITH x AS (TABLE /* all */ metrics) TABLE x", "WITH x AS (SELECT * FROM ROWS AS \"metrics\") TABLE x"),
            (
                "SELECT * FROM orders o JOIN metrics USING (id)",
                "SELECT * FROM orders o JOIN ROWS AS \"metrics\" USING (id)",
            ),
            (
                "SELECT (SELECT max(id) FROM metrics) FROM orders WHERE EXISTS (SELECT FROM metrics m)",
                "SELECT (SELECT max(id) FROM ROWS AS \"metrics\") FROM orders WHERE EXISTS (SELECT FROM ROWS m)",
            ),
            (
                "WITH metrics AS (SELECT * FROM metrics) SELECT * FROM metrics",
                "WITH metrics AS (SELECT * FROM ROWS AS \"metrics\") SELECT * FROM metrics",
            ),
            (
                "WITH RECURSIVE metrics AS (SELECT * FROM metrics) SELECT * FROM warehouse.metrics",
                "WITH RECURSIVE metrics AS (SELECT * FROM metrics) SELECT * FROM WAREHOUSE_ROWS AS \"metrics\"",
            ),
            (
                "SELECT 'metrics', \"metrics\".id FROM \"metrics\" -- metrics",
                "SELECT 'metrics', \"metrics\".id FROM ROWS AS \"metrics\"",
            ),
            (
                "SELECT * FROM a, LATERAL (SELECT * FROM metrics WHERE id = a.id) l UNION ALL SELECT * FROM metrics",
                "SELECT * FROM a, LATERAL (SELECT * FROM ROWS AS \"metrics\" WHERE id = a.id) l UNION ALL SELECT * FROM ROWS AS \"metrics\"",
            ),
            ("TABLE ONLY metrics", "SELECT * FROM ONLY_ROWS AS \"metrics\""),
            ("SELECT * FROM only warehouse.metrics m", "SELECT * FROM WAREHOUSE_ONLY_ROWS m"),
            ("TABLE ONLY (metrics)", "SELECT * FROM ONLY_ROWS AS \"metrics\""),
            ("SELECT * FROM ONLY ( warehouse . metrics ) m", "SELECT * FROM WAREHOUSE_ONLY_ROWS m"),
            ("SELECT a * b FROM metrics * WHERE a * 2 > 1", "SELECT a * b FROM ROWS AS \"metrics\" WHERE a * 2 > 1"),
            (
                "SELECT * FROM warehouse.\"metrics\" * AS m, metrics*",
                "SELECT * FROM WAREHOUSE_ROWS AS m, ROWS AS \"metrics\"",
            ),
            ("TABLE metrics * ORDER BY 1", "SELECT * FROM ROWS AS \"metrics\" ORDER BY 1"),
            ("SELECT * FROM a JOIN ONLY metrics ON true", "SELECT * FROM a JOIN ONLY_ROWS AS \"metrics\" ON true"),
            ("SELECT only.id FROM metrics only", "SELECT only.id FROM ROWS only"),
            (
                "WITH metric\u{17f} AS (SELECT 1) TABLE metrics",
                "WITH metric\u{17f} AS (SELECT 1) SELECT * FROM ROWS AS \"metrics\"",
            ),
            (
                "WITH \u{212a}etrics AS (SELECT 1) TABLE METRICS",
                "WITH \u{212a}etrics AS (SELECT 1) SELECT * FROM ROWS AS \"metrics\"",
            ),
            (
                "SELECT warehouse.orders.id FROM warehouse.orders, metrics",
                "SELECT warehouse.orders.id FROM warehouse.orders, ROWS AS \"metrics\"",
            ),
            ("SELECT :a FROM metrics WHERE id = :b -- all", "SELECT :a FROM ROWS AS \"metrics\" WHERE id = :b"),
            ("SELECT * FROM other", ""),
        ] {
            assert_eq!(narrowed(sql), text, "{sql}");
        }
    }

    #[test]
    fn a_table_of_another_schema_is_not_narrowed() {
        let source = PeriodSource {
            schema: "sales".into(),
            table: "orders".into(),
            column: "day".into(),
            type_name: "date".into(),
        };
        let rows = format!("(SELECT * FROM \"sales\".\"orders\" WHERE {})", inside("day", Clock::Utc));
        let rows_of_bare_name = format!("(SELECT * FROM \"orders\" WHERE {})", inside("day", Clock::Utc));
        let sql = "SELECT sales.orders.*, shop.orders.* FROM orders o, sales.orders, shop.orders";
        for (is_visible, first) in [(true, rows_of_bare_name), (false, "orders".to_owned())] {
            let mut read = ContractTable::new("sales", "orders");
            read.is_visible = is_visible;
            // Any column may be read.
            let sql = format!("{sql} NATURAL JOIN x");
            let narrowed = super::narrowed(&parse(&sql), &source, &[read], Clock::Utc).unwrap();
            let expected = format!(
                "SELECT orders.*, shop.orders.* FROM {first} o, {rows} AS \"orders\", shop.orders NATURAL JOIN x"
            );
            assert_eq!(narrowed.body(), expected);
        }
    }

    #[test]
    fn a_result_is_filtered_by_its_column() {
        let column = PeriodColumn { column: "The \"day\"".into(), type_name: "timestamp without time zone".into() };
        let statement =
            filtered(&parse("SELECT :a AS a FROM x ORDER BY a LIMIT 3 -- few"), &column, Clock::Utc).unwrap();
        assert_eq!(
            statement.body(),
            "SELECT * FROM (\nSELECT :a AS a FROM x ORDER BY a LIMIT 3\n) AS result WHERE \"The \"\"day\"\"\" >= \
             CAST(:start_date AS date) AND \"The \"\"day\"\"\" <= CAST(:end_date AS date) + INTERVAL '1 day' - INTERVAL \
             '1 microsecond'"
        );
    }
}
