//! The statements that create and change a table that files are loaded into.

mod check;

use std::fmt::Write;

pub use self::check::CheckSql;
use crate::{quote_identifier, quote_literal};

/// The types whose values PostgreSQL converts without loss.
const WIDENED: [(&str, &str); 2] = [("bigint", "numeric"), ("date", "timestamp")];

/// A table, as the statements name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSql<'a> {
    /// The schema.
    pub schema: &'a str,
    /// The name, of at most 54 bytes: the names of constraints and indexes are longer.
    pub name: &'a str,
    /// The columns, in their order.
    pub columns: Vec<ColumnSql<'a>>,
    /// The names of the columns that identify a row.
    pub key: Vec<&'a str>,
    /// The column with the date or timestamp of each row.
    pub time_column: Option<&'a str>,
    /// The columns of each other index.
    pub indexes: Vec<Vec<&'a str>>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSql<'a> {
    /// The name.
    pub name: &'a str,
    /// The type, as SQL writes it.
    pub data_type: &'a str,
    /// Whether every row has a value.
    pub is_required: bool,
    /// The comment of the column.
    pub comment: Option<String>,
    /// What its values have to be.
    pub check: CheckSql<'a>,
}

impl ColumnSql<'_> {
    /// The condition of its CHECK constraint, which other columns do not affect. `None` if it has none.
    fn condition(&self) -> Option<String> {
        self.check.condition(self.name, self.data_type)
    }
}

impl TableSql<'_> {
    /// The schema and the name, quoted.
    #[must_use]
    pub fn relation(&self) -> String {
        format!("{}.{}", quote_identifier(self.schema), quote_identifier(self.name))
    }

    /// The names of the columns, quoted and separated by commas.
    #[must_use]
    pub fn column_list(&self) -> String {
        list(self.columns.iter().map(|column| column.name))
    }

    /// The names of the columns of the key, quoted and separated by commas.
    #[must_use]
    pub fn key_list(&self) -> String {
        list(self.key.iter().copied())
    }

    /// Creates the table, without its constraints.
    #[must_use]
    pub fn create(&self) -> String {
        let column = |column: &ColumnSql<'_>| format!("{} {}", quote_identifier(column.name), column.data_type);
        let columns: Vec<_> = self.columns.iter().map(column).collect();
        format!("CREATE TABLE {} ({})", self.relation(), columns.join(", "))
    }

    /// Gives the table, as it was `before`, its columns and types, and removes the constraints that no longer hold. Rows
    /// can be loaded afterwards. Empty if there is nothing to do.
    ///
    /// A column keeps its values if `bigint` becomes `numeric`, or `date` becomes `timestamp`. Any other change of its type
    /// removes its values: it is for a table without rows.
    #[must_use]
    pub fn change(&self, before: &TableSql<'_>) -> Vec<String> {
        let relation = self.relation();
        let mut statements = Vec::new();
        if before.key != self.key && !before.key.is_empty() {
            statements.push(format!("ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {}", self.constraint("pkey")));
        }
        let mut drop = |suffix: &str| {
            statements.push(format!(
                "DROP INDEX IF EXISTS {}.{}",
                quote_identifier(self.schema),
                self.constraint(suffix)
            ));
        };
        if before.time_column != self.time_column && before.time_column.is_some() {
            drop("time_idx");
        }
        for position in 0..before.indexes.len() {
            if before.indexes.get(position) != self.indexes.get(position) {
                drop(&index_suffix(position));
            }
        }
        for stored in &before.columns {
            let condition = stored.condition();
            if condition.is_some() && self.column(stored.name).and_then(ColumnSql::condition) != condition {
                let name = self.check_name(stored.name);
                statements.push(format!("ALTER TABLE {relation} DROP CONSTRAINT IF EXISTS {name}"));
            }
        }
        for column in &self.columns {
            let name = quote_identifier(column.name);
            let Some(stored) = before.columns.iter().find(|stored| stored.name == column.name) else {
                statements.push(format!("ALTER TABLE {relation} ADD COLUMN {name} {}", column.data_type));
                continue;
            };
            if stored.data_type != column.data_type {
                let keeps_values = WIDENED.contains(&(stored.data_type, column.data_type));
                let using = if keeps_values { "" } else { " USING NULL" };
                statements.push(format!("ALTER TABLE {relation} ALTER COLUMN {name} TYPE {}{using}", column.data_type));
            }
            if stored.is_required && !column.is_required {
                statements.push(format!("ALTER TABLE {relation} ALTER COLUMN {name} DROP NOT NULL"));
            }
        }
        statements
    }

    /// Gives the columns their comments, where they differ from those of the table as it was `before`. `None` for a new
    /// table.
    #[must_use]
    pub fn comment(&self, before: Option<&TableSql<'_>>) -> Vec<String> {
        let relation = self.relation();
        let comment = |column: &ColumnSql<'_>| {
            let stored =
                before.and_then(|before| before.column(column.name)).and_then(|stored| stored.comment.as_ref());
            let comment = column.comment.as_deref().map_or_else(|| "NULL".to_owned(), quote_literal);
            let name = quote_identifier(column.name);
            (column.comment.as_ref() != stored).then(|| format!("COMMENT ON COLUMN {relation}.{name} IS {comment}"))
        };
        self.columns.iter().filter_map(comment).collect()
    }

    fn column(&self, name: &str) -> Option<&ColumnSql<'_>> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Gives the table, as it was `before`, its constraints and its index. `None` for a new table.
    #[must_use]
    pub fn constrain(&self, before: Option<&TableSql<'_>>) -> Vec<String> {
        let relation = self.relation();
        let mut statements = Vec::new();
        for column in &self.columns {
            let name = quote_identifier(column.name);
            let stored = before.and_then(|before| before.column(column.name));
            if column.is_required && !stored.is_some_and(|stored| stored.is_required) {
                statements.push(format!("ALTER TABLE {relation} ALTER COLUMN {name} SET NOT NULL"));
            }
        }
        let checks: Vec<_> = self.columns.iter().filter_map(|column| self.add_check(before, column)).collect();
        if !checks.is_empty() {
            // One statement reads the rows once.
            statements.push(format!("ALTER TABLE {relation} {}", checks.join(", ")));
        }
        if !self.key.is_empty() && before.is_none_or(|before| before.key != self.key) {
            let (name, key) = (self.constraint("pkey"), self.key_list());
            statements.push(format!("ALTER TABLE {relation} ADD CONSTRAINT {name} PRIMARY KEY ({key})"));
        }
        if let Some(column) = self.time_column
            && before.is_none_or(|before| before.time_column != self.time_column)
        {
            let (name, column) = (self.constraint("time_idx"), quote_identifier(column));
            statements.push(format!("CREATE INDEX {name} ON {relation} ({column})"));
        }
        for (position, columns) in self.indexes.iter().enumerate() {
            if before.is_none_or(|before| before.indexes.get(position) != Some(columns)) {
                let (name, columns) = (self.constraint(&index_suffix(position)), list(columns.iter().copied()));
                statements.push(format!("CREATE INDEX {name} ON {relation} ({columns})"));
            }
        }
        statements
    }

    /// Adds the CHECK constraint of a column. `None` if there is nothing to add.
    fn add_check(&self, before: Option<&TableSql<'_>>, column: &ColumnSql<'_>) -> Option<String> {
        let stored = before.and_then(|before| before.column(column.name)).and_then(ColumnSql::condition);
        let condition = column.condition().filter(|condition| stored.as_ref() != Some(condition))?;
        Some(format!("ADD CONSTRAINT {} CHECK ({condition})", self.check_name(column.name)))
    }

    /// Selects one value, as a text, that breaks the check of the column. `None` if the column has none.
    #[must_use]
    pub fn find_broken(&self, column: &ColumnSql<'_>) -> Option<String> {
        let (name, relation) = (quote_identifier(column.name), self.relation());
        Some(format!("SELECT {name}::text AS value FROM {relation} WHERE NOT ({}) LIMIT 1", column.condition()?))
    }

    /// The quoted name of the CHECK constraint of a column.
    fn check_name(&self, column: &str) -> String {
        quote_identifier(&check::constraint_name(self.name, column))
    }

    /// The quoted name of a constraint or an index.
    fn constraint(&self, suffix: &str) -> String {
        quote_identifier(&format!("{}_{suffix}", self.name))
    }
}

/// What the name of an index adds to that of its table, by its position in the declaration.
fn index_suffix(position: usize) -> String {
    format!("{}_idx", position + 1)
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut list = String::new();
    for name in names {
        let separator = if list.is_empty() { "" } else { ", " };
        let _ = write!(list, "{separator}{}", quote_identifier(name));
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column<'a>(name: &'a str, data_type: &'a str) -> ColumnSql<'a> {
        ColumnSql { name, data_type, is_required: false, comment: None, check: CheckSql::default() }
    }

    #[test]
    fn a_new_table_gets_its_constraints_after_its_rows() {
        let id = ColumnSql { is_required: true, comment: Some("It's".to_owned()), ..column("id", "text") };
        let columns = vec![id, column("order", "date")];
        let table = TableSql {
            schema: "warehouse",
            name: "sales",
            columns,
            key: vec!["id"],
            time_column: Some("order"),
            indexes: vec![vec!["order", "id"]],
        };
        assert_eq!(table.create(), r#"CREATE TABLE "warehouse"."sales" ("id" text, "order" date)"#);
        let expected = [
            r#"ALTER TABLE "warehouse"."sales" ALTER COLUMN "id" SET NOT NULL"#,
            r#"ALTER TABLE "warehouse"."sales" ADD CONSTRAINT "sales_pkey" PRIMARY KEY ("id")"#,
            r#"CREATE INDEX "sales_time_idx" ON "warehouse"."sales" ("order")"#,
            r#"CREATE INDEX "sales_1_idx" ON "warehouse"."sales" ("order", "id")"#,
        ];
        assert_eq!(table.constrain(None), expected);
        assert_eq!(table.comment(None), [r#"COMMENT ON COLUMN "warehouse"."sales"."id" IS 'It''s'"#]);
        assert_eq!(table.comment(Some(&table)), Vec::<String>::new());
        assert_eq!(table.constrain(Some(&table)), Vec::<String>::new());
        assert_eq!(table.change(&table), Vec::<String>::new());
    }

    #[test]
    fn a_stored_table_is_changed_where_it_differs() {
        let columns = vec![ColumnSql { is_required: true, ..column("id", "bigint") }];
        let (key, indexes) = (vec!["id"], vec![vec!["id"], vec!["id", "day"]]);
        let before = TableSql { schema: "warehouse", name: "sales", columns, key, time_column: None, indexes };
        let columns = vec![column("id", "numeric"), column("day", "date")];
        let (key, time_column, indexes) = (Vec::new(), Some("day"), vec![vec!["id"], vec!["day"]]);
        let after = TableSql { schema: "warehouse", name: "sales", columns, key, time_column, indexes };
        let expected = [
            r#"ALTER TABLE "warehouse"."sales" DROP CONSTRAINT IF EXISTS "sales_pkey""#,
            r#"DROP INDEX IF EXISTS "warehouse"."sales_2_idx""#,
            r#"ALTER TABLE "warehouse"."sales" ALTER COLUMN "id" TYPE numeric"#,
            r#"ALTER TABLE "warehouse"."sales" ALTER COLUMN "id" DROP NOT NULL"#,
            r#"ALTER TABLE "warehouse"."sales" ADD COLUMN "day" date"#,
        ];
        assert_eq!(after.change(&before), expected);
        let expected = [
            r#"CREATE INDEX "sales_time_idx" ON "warehouse"."sales" ("day")"#,
            r#"CREATE INDEX "sales_2_idx" ON "warehouse"."sales" ("day")"#,
        ];
        assert_eq!(after.constrain(Some(&before)), expected);
    }

    #[test]
    fn checks_are_changed_where_they_differ() {
        let checked = |name, data_type, minimum| {
            let check = CheckSql { minimum: Some(minimum), ..CheckSql::default() };
            ColumnSql { check, ..column(name, data_type) }
        };
        let table = |columns| {
            let (key, indexes) = (Vec::new(), Vec::new());
            TableSql { schema: "warehouse", name: "sales", columns, key, time_column: None, indexes }
        };
        let before = table(vec![checked("a", "bigint", "0"), checked("b", "bigint", "0"), checked("c", "bigint", "0")]);
        let after = table(vec![column("a", "bigint"), checked("b", "bigint", "0"), checked("c", "numeric", "0")]);
        let relation = r#"ALTER TABLE "warehouse"."sales""#;
        let expected = [
            format!(r#"{relation} DROP CONSTRAINT IF EXISTS "sales_a_check""#),
            format!(r#"{relation} DROP CONSTRAINT IF EXISTS "sales_c_check""#),
            format!(r#"{relation} ALTER COLUMN "c" TYPE numeric"#),
        ];
        assert_eq!(after.change(&before), expected);
        let expected = format!(r#"{relation} ADD CONSTRAINT "sales_c_check" CHECK ("c" >= '0'::numeric)"#);
        assert_eq!(after.constrain(Some(&before)), [expected]);
        let [both] = &after.constrain(None)[..] else { panic!("one statement adds all checks") };
        assert_eq!(both.matches("ADD CONSTRAINT").count(), 2, "{both}");
        let found = after.find_broken(&after.columns[2]).unwrap();
        assert_eq!(
            found,
            r#"SELECT "c"::text AS value FROM "warehouse"."sales" WHERE NOT ("c" >= '0'::numeric) LIMIT 1"#
        );
        assert_eq!(after.find_broken(&after.columns[0]), None);
    }
}
