//! A statement that reads only the rows of a period.

use std::ops::Range;

use metricd_domain::PeriodSource;

use crate::guard::{Uses, uses};
use crate::place::Lines;
use crate::{Place, Statement};

/// The edits that let the statement read only those rows of its source that are inside a period, wherever it reads the
/// source: in joins, subqueries and WITH queries, under an alias, with its schema or without. The period's first day is the
/// parameter `$first`, its last day the one after that.
///
/// A table is replaced by a subquery over it, which PostgreSQL pulls up, so that indexes on the time column serve.
pub(crate) fn narrowing(statement: &Statement, source: &PeriodSource, first: usize) -> Vec<(Range<usize>, String)> {
    let Uses { tables, qualifiers } = uses(statement);
    let lines = Lines::of(statement.text());
    let offset = |place: Place| lines.offset(place);
    let table = quoted(&source.table);
    let inside = inside(source, first);
    let rows = |only: &str| format!("(SELECT * FROM {only}warehouse.{table} WHERE {inside})");
    let mut edits: Vec<_> =
        qualifiers.iter().map(|(begin, end)| (offset(*begin)..offset(*end), String::new())).collect();
    for read in tables.iter().filter(|read| read.table == source.table) {
        let rows = rows(if read.only.is_some() { "ONLY " } else { "" });
        let alias = if read.has_alias { String::new() } else { format!(" AS {table}") };
        let select = offset(read.select);
        let is_short = statement.text().get(select..select + 5).is_some_and(|word| word.eq_ignore_ascii_case("table"));
        if is_short {
            edits.push((select..offset(read.end), format!("SELECT * FROM {rows}{alias}")));
        } else {
            edits.push((offset(read.only.unwrap_or(read.begin))..offset(read.end), format!("{rows}{alias}")));
        }
    }
    edits
}

/// The condition of a row being inside of the period: its time is between the first moment of the first day and the last one of
/// the last day, both inside. So `-infinity` and `infinity` are inside of a period that is open to their side, whatever the
/// column's type. The last moment is the last microsecond, since PostgreSQL knows no shorter time.
fn inside(source: &PeriodSource, first: usize) -> String {
    let column = quoted(&source.column);
    let (start, end) = (format!("CAST(${first} AS date)"), format!("CAST(${} AS date)", first + 1));
    let last_moment = match source.type_name.as_str() {
        "date" => end,
        _ => format!("{end} + INTERVAL '1 day' - INTERVAL '1 microsecond'"),
    };
    format!("{column} >= {start} AND {column} <= {last_moment}")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use metricd_domain::SqlText;

    use super::*;
    use crate::edit::Edited;

    fn narrowed(sql: &str) -> String {
        let statement = Statement::parse(&SqlText::parse(sql).unwrap()).unwrap();
        let source = PeriodSource { table: "metrics".into(), column: "date".into(), type_name: "date".into() };
        let edits = narrowing(&statement, &source, 1);
        let text = Edited::of(statement.text(), statement.body_range(), edits).text;
        text.replace(
            "(SELECT * FROM warehouse.\"metrics\" WHERE \"date\" >= CAST($1 AS date) AND \"date\" <= CAST($2 AS date))",
            "ROWS",
        )
        .replace("(SELECT * FROM ONLY warehouse.\"metrics\" WHERE \"date\" >= CAST($1 AS date) AND \"date\" <= CAST($2 AS date))", "ONLY_ROWS")
    }

    #[test]
    fn a_table_is_narrowed_wherever_it_is_read() {
        for (sql, text) in [
            ("SELECT * FROM metrics", "SELECT * FROM ROWS AS \"metrics\""),
            ("SELECT * FROM METRICS m", "SELECT * FROM ROWS m"),
            ("SELECT * FROM warehouse . metrics AS m", "SELECT * FROM ROWS AS m"),
            (
                "SELECT warehouse.metrics.id, warehouse.metrics.* FROM warehouse.metrics",
                "SELECT metrics.id, metrics.* FROM ROWS AS \"metrics\"",
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
                "WITH RECURSIVE metrics AS (SELECT * FROM metrics) SELECT * FROM ROWS AS \"metrics\"",
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
            ("SELECT * FROM only warehouse.metrics m", "SELECT * FROM ONLY_ROWS m"),
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
            ("SELECT * FROM other", "SELECT * FROM other"),
        ] {
            assert_eq!(narrowed(sql), text, "{sql}");
        }
    }
}
