//! What a chart is drawn from: columns with types, and rows of values.

mod read;

use metricd_domain::Contract;

/// The type of a column, as far as a chart needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ColumnType {
    /// An instant: `timestamp with time zone`.
    Instant,
    /// What a clock on a wall shows: `timestamp without time zone`.
    Timestamp,
    /// A day.
    Date,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A text.
    Text,
    /// One of these labels, in the order of the type.
    Enum(Vec<String>),
    /// Any other type. Only tables show its values.
    Other,
}

impl ColumnType {
    /// The type that a contract names as PostgreSQL's `format_type` prints it, with the labels if it is an enum.
    ///
    /// ```
    /// use metricd_chart::ColumnType;
    ///
    /// assert_eq!(ColumnType::of_postgres("timestamp with time zone", None), ColumnType::Instant);
    /// let labels = ["low".to_owned(), "high".to_owned()];
    /// assert_eq!(ColumnType::of_postgres("level", Some(&labels)), ColumnType::Enum(labels.to_vec()));
    /// assert_eq!(ColumnType::of_postgres("integer[]", None), ColumnType::Other);
    /// ```
    #[must_use]
    pub fn of_postgres(type_name: &str, labels: Option<&[String]>) -> Self {
        match (type_name, labels) {
            (name, _) if name.ends_with("[]") => Self::Other,
            (_, Some(labels)) => Self::Enum(labels.to_vec()),
            ("timestamp with time zone", _) => Self::Instant,
            ("timestamp without time zone", _) => Self::Timestamp,
            ("date", _) => Self::Date,
            ("smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision", _) => Self::Number,
            ("boolean", _) => Self::Boolean,
            ("text" | "character varying" | "character" | "name" | "citext", _) => Self::Text,
            _ => Self::Other,
        }
    }
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChartColumn {
    /// The name.
    pub name: String,
    /// What people read instead of the name.
    pub label: Option<String>,
    /// The unit of its numbers, such as `EUR` or `%`.
    pub unit: Option<String>,
    /// The type.
    pub column_type: ColumnType,
}

impl ChartColumn {
    /// Makes a column without a label and a unit.
    pub fn new(name: impl Into<String>, column_type: ColumnType) -> Self {
        Self { name: name.into(), label: None, unit: None, column_type }
    }

    /// The label, or the name.
    pub(crate) fn label(&self) -> &str {
        self.label.as_deref().unwrap_or(&self.name)
    }
}

/// A number with the digits that PostgreSQL wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct Number {
    /// The nearest float. It may be NaN or infinite.
    pub value: f64,
    /// The digits, such as `12.50`.
    pub text: String,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// NULL.
    Null,
    /// A number.
    Number(Number),
    /// Microseconds since 1970-01-01: in UTC for an instant, of the wall clock for a timestamp and a date.
    Time(i64),
    /// A text, a label of an enum, or a value of another type as PostgreSQL prints it.
    Text(String),
    /// `true` or `false`.
    Boolean(bool),
}

impl Cell {
    /// The number that a float is, with the fewest digits that tell it from other floats.
    #[must_use]
    pub fn of_float(value: f64) -> Self {
        let text = if value.is_finite() && (value == 0.0 || (1e-7..1e21).contains(&value.abs())) {
            value.to_string()
        } else {
            format!("{value:e}")
        };
        Self::Number(Number { value, text })
    }

    /// A whole number.
    #[must_use]
    pub fn of_integer(value: i64) -> Self {
        Self::Number(Number { value: crate::math::real_of(value.into()), text: value.to_string() })
    }

    /// Reads a value as CSV results have it; None is NULL. A text that is no value of the type, such as the date
    /// `infinity`, remains a text: tables show it, and other charts report that they do not.
    ///
    /// ```
    /// use metricd_chart::{Cell, ColumnType};
    ///
    /// assert_eq!(Cell::read(&ColumnType::Date, Some("1970-01-02")), Cell::Time(86_400_000_000));
    /// assert_eq!(Cell::read(&ColumnType::Number, None), Cell::Null);
    /// assert_eq!(Cell::read(&ColumnType::Date, Some("infinity")), Cell::Text("infinity".into()));
    /// ```
    #[must_use]
    pub fn read(column_type: &ColumnType, text: Option<&str>) -> Self {
        let Some(text) = text else { return Self::Null };
        let read = match column_type {
            ColumnType::Number => read::number(text).map(Self::Number),
            ColumnType::Instant | ColumnType::Timestamp | ColumnType::Date => read::time(text).map(Self::Time),
            ColumnType::Boolean => match text {
                "true" | "t" => Some(Self::Boolean(true)),
                "false" | "f" => Some(Self::Boolean(false)),
                _ => None,
            },
            ColumnType::Text | ColumnType::Enum(_) | ColumnType::Other => None,
        };
        read.unwrap_or_else(|| Self::Text(text.to_owned()))
    }
}

/// A row does not have one value for each column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the row has {cells} values: expected {columns}, one for each column")]
pub struct WrongRowLength {
    /// The number of values.
    pub cells: usize,
    /// The number of columns.
    pub columns: usize,
}

/// The columns and rows of a result, in the order of the result.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ChartData {
    columns: Vec<ChartColumn>,
    rows: Vec<Vec<Cell>>,
}

impl ChartData {
    /// Data without rows.
    #[must_use]
    pub fn new(columns: Vec<ChartColumn>) -> Self {
        Self { columns, rows: Vec::new() }
    }

    /// Data without rows, with the columns of a contract. A contract knows no units: set them by [`Self::columns_mut`].
    #[must_use]
    pub fn of_contract(contract: &Contract) -> Self {
        let column = |column: &metricd_domain::ContractColumn| {
            let labels = contract.labels(&column.type_name);
            ChartColumn::new(&column.name, ColumnType::of_postgres(&column.type_name, labels))
        };
        Self::new(contract.columns().iter().map(column).collect())
    }

    /// Appends a row.
    ///
    /// # Errors
    ///
    /// [`WrongRowLength`] unless it has one value for each column.
    pub fn push(&mut self, row: Vec<Cell>) -> Result<(), WrongRowLength> {
        if row.len() != self.columns.len() {
            return Err(WrongRowLength { cells: row.len(), columns: self.columns.len() });
        }
        self.rows.push(row);
        Ok(())
    }

    /// Appends a row of values as CSV results have them; None is NULL. See [`Cell::read`].
    ///
    /// # Errors
    ///
    /// [`WrongRowLength`] unless it has one value for each column.
    pub fn push_texts(&mut self, row: &[Option<&str>]) -> Result<(), WrongRowLength> {
        if row.len() != self.columns.len() {
            return Err(WrongRowLength { cells: row.len(), columns: self.columns.len() });
        }
        let cells = self.columns.iter().zip(row).map(|(column, text)| Cell::read(&column.column_type, *text));
        self.rows.push(cells.collect());
        Ok(())
    }

    /// The columns.
    #[must_use]
    pub fn columns(&self) -> &[ChartColumn] {
        &self.columns
    }

    /// The columns, to give them labels and units.
    pub fn columns_mut(&mut self) -> &mut [ChartColumn] {
        &mut self.columns
    }

    /// The rows. Each has one value for each column.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Cell>] {
        &self.rows
    }

    /// The values of a column.
    pub(crate) fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.rows.iter().filter_map(move |row| row.get(column))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_value_for_each_column() {
        let mut data = ChartData::new(vec![ChartColumn::new("n", ColumnType::Number)]);
        assert_eq!(data.push(vec![]).unwrap_err().to_string(), "the row has 0 values: expected 1, one for each column");
        assert!(data.push_texts(&[None, None]).is_err());
        data.push_texts(&[Some("12.50")]).unwrap();
        assert_eq!(data.rows()[0][0], Cell::Number(Number { value: 12.5, text: "12.50".into() }));
    }

    #[test]
    fn a_contract_gives_names_types_and_labels() {
        let columns = ["date", "level"].map(|name| metricd_domain::ContractColumn::new(name, name)).to_vec();
        let enums = [("level".to_owned(), vec!["low".to_owned(), "high".to_owned()])].into();
        let parts = metricd_domain::ContractParts { columns, enums, ..Default::default() };
        let contract = Contract::new(parts).unwrap();
        let data = ChartData::of_contract(&contract);
        assert_eq!(data.columns()[0].column_type, ColumnType::Date);
        assert_eq!(data.columns()[1].column_type, ColumnType::Enum(vec!["low".into(), "high".into()]));
    }
}
