//! Matches the columns of a file with those of its table.

use metricd_domain::{ColumnName, ColumnType, InvalidTableName, MAX_TABLE_COLUMNS, Table, TableColumn};
use metricd_execution::is_reserved;

use crate::Reason;
use crate::columns::ColumnChoice;
use crate::source::SourceColumn;

/// A fault of the header of a file, or a notice about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeaderFinding {
    pub(super) column: Option<String>,
    pub(super) reason: Reason,
    pub(super) message: String,
}

fn finding(column: &str, reason: Reason, message: String) -> HeaderFinding {
    HeaderFinding { column: Some(column.to_owned()), reason, message }
}

/// What was found in a header with notices, or its faults.
pub(super) type HeaderResult<T> = Result<(T, Vec<HeaderFinding>), Vec<HeaderFinding>>;

/// A column of a file with the name that it has in a table, and its position in the file.
#[derive(Debug, Clone)]
pub(super) struct NamedColumn {
    pub(super) name: ColumnName,
    pub(super) position: usize,
}

/// Gives each column of a file a name in a table, and returns notices. A column without a name gets one by its position,
/// unless `is_empty` says that it has no values: it is left out then.
pub(super) fn name_columns(
    columns: &[SourceColumn],
    is_empty: impl Fn(usize) -> bool,
) -> HeaderResult<Vec<NamedColumn>> {
    if columns.len() > MAX_TABLE_COLUMNS {
        let message = format!("the file has {} columns: a table has at most {MAX_TABLE_COLUMNS}", columns.len());
        return Err(vec![HeaderFinding { column: None, reason: Reason::TableInvalid, message }]);
    }
    let nameless = |position: &usize| columns[*position].name.trim().is_empty();
    let unnamed = (0..columns.len()).filter(|position| nameless(position) && !is_empty(*position)).count();
    let name_count = columns.len() - (0..columns.len()).filter(nameless).count();
    if name_count > 0 && unnamed > name_count {
        let message = format!(
            "the first line names {name_count} of {} columns: remove the lines above the names of the columns",
            name_count + unnamed
        );
        return Err(vec![HeaderFinding { column: None, reason: Reason::HeaderMissing, message }]);
    }
    let (mut named, mut notices, mut faults) = (Vec::<NamedColumn>::new(), Vec::new(), Vec::new());
    for (position, column) in columns.iter().enumerate() {
        let header = &column.name;
        if header.trim().is_empty() && is_empty(position) {
            continue;
        }
        let name = if header.trim().is_empty() {
            let name = positional_name(position);
            let message = format!("column {} has no name in the file and is named `{name}`", position + 1);
            notices.push(finding(&name, Reason::ColumnUnnamed, message));
            ColumnName::parse(name)
        } else {
            ColumnName::from_text(header)
        };
        let name = match name {
            Ok(name) => name,
            Err(InvalidTableName::Empty) => {
                let message =
                    format!("no name of a column can be made of `{header}`: it has neither letters nor digits");
                faults.push(finding(header, Reason::ColumnInvalid, message));
                continue;
            }
            Err(error) => {
                let message = format!("no name of a column can be made of `{header}`: {error}");
                faults.push(finding(header, Reason::ColumnInvalid, message));
                continue;
            }
        };
        if let Some(first) = named.iter().find(|first| first.name == name) {
            let other = &columns[first.position].name;
            let message = if other == header {
                format!("the header has the column `{header}` more than once: rename or remove all but one")
            } else {
                format!("the columns `{other}` and `{header}` would both be named `{name}`: rename one")
            };
            faults.push(finding(header, Reason::ColumnRepeated, message));
            continue;
        }
        if is_reserved(name.as_str()) {
            let message = format!("`{name}` is a keyword of SQL: write it as \"{name}\", with quotes");
            notices.push(finding(name.as_str(), Reason::ColumnKeyword, message));
        }
        named.push(NamedColumn { name, position });
    }
    if faults.is_empty() { Ok((named, notices)) } else { Err(faults) }
}

/// The name of a column without a name in the file.
fn positional_name(position: usize) -> String {
    format!("column_{}", position + 1)
}

/// The name that a column of the file has in a table.
fn name_of(column: &SourceColumn, position: usize) -> Option<ColumnName> {
    let header = column.name.trim();
    if header.is_empty() {
        return ColumnName::parse(positional_name(position)).ok();
    }
    ColumnName::parse(header).or_else(|_| ColumnName::from_text(header)).ok()
}

/// The position of each column of the table in the file.
///
/// The names of the file are those of the table, as they are or in the form that [`ColumnName::from_text`] gives them. A
/// file that lacks a column is refused, unless `may_lack` says that its format leaves out what has no value.
pub(super) fn locate_columns(
    table: &Table,
    columns: &[SourceColumn],
    may_lack: bool,
) -> HeaderResult<Vec<Option<usize>>> {
    let names: Vec<_> = columns.iter().enumerate().map(|(position, column)| name_of(column, position)).collect();
    let (mut positions, mut faults) = (Vec::new(), Vec::new());
    for column in table.columns() {
        let mut found = (0..names.len()).filter(|&index| names[index].as_ref() == Some(&column.name));
        let position = found.next();
        if found.next().is_some() {
            let message = format!("the header has the column `{}` more than once", column.name);
            faults.push(finding(column.name.as_str(), Reason::ColumnRepeated, message));
        }
        if position.is_none() && !may_lack {
            let message = match similar(&column.name, columns) {
                Some(similar) => {
                    format!("the header has no column `{0}`, but `{similar}`: did you mean `{0}`?", column.name)
                }
                None => format!("the header has no column `{}`, which the table has", column.name),
            };
            faults.push(finding(column.name.as_str(), Reason::ColumnMissing, message));
        }
        positions.push(position);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let unknown = (0..columns.len())
        // Spreadsheets leave columns that have neither a name nor values.
        .filter(|index| !positions.contains(&Some(*index)) && !columns[*index].name.trim().is_empty())
        .map(|index| {
            let name = &columns[index].name;
            finding(name, Reason::ColumnUnknown, format!("the column `{name}` is unknown and was skipped"))
        });
    let notices = unknown.collect();
    Ok((positions, notices))
}

fn similar<'a>(name: &ColumnName, columns: &'a [SourceColumn]) -> Option<&'a str> {
    let likeness =
        |column: &SourceColumn| strsim::normalized_damerau_levenshtein(&column.name.to_lowercase(), name.as_str());
    let best = columns.iter().max_by(|one, other| likeness(one).total_cmp(&likeness(other)))?;
    (likeness(best) >= 0.7).then_some(best.name.as_str())
}

/// The type that has every value of both types, as the values of two files.
pub(super) fn common_type(one: &ColumnChoice, other: &ColumnChoice) -> ColumnType {
    match (one.data_type, other.data_type) {
        (one, other) if one == other => one,
        (_, data_type) if one.values == 0 => data_type,
        (data_type, _) if other.values == 0 => data_type,
        (narrow, wide) if narrow.widens_to(wide) => wide,
        (wide, narrow) if narrow.widens_to(wide) => wide,
        _ => ColumnType::Text,
    }
}

/// The stored column, widened to the values of a file if that loses nothing.
pub(super) fn widened(stored: &TableColumn, choice: &ColumnChoice) -> TableColumn {
    let data_type = if choice.values > 0 && stored.data_type.widens_to(choice.data_type) {
        choice.data_type
    } else {
        stored.data_type
    };
    TableColumn { data_type, ..stored.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(names: &[&str]) -> Vec<SourceColumn> {
        let column = |name: &&str| SourceColumn { name: (*name).to_owned(), data_type: None, description: None };
        names.iter().map(column).collect()
    }

    fn named(names: &[&str]) -> Result<Vec<String>, Vec<String>> {
        match name_columns(&columns(names), |position| position == 9) {
            Ok((columns, _)) => Ok(columns.into_iter().map(|column| column.name.into()).collect()),
            Err(faults) => Err(faults.into_iter().map(|fault| fault.message).collect()),
        }
    }

    #[test]
    fn columns_are_named_after_the_header() {
        let names = ["", "Order Date", "select", "Größe", "a", "b", "c", "d", "e", ""];
        let expected = ["column_1", "order_date", "select", "größe", "a", "b", "c", "d", "e"];
        assert_eq!(named(&names).unwrap(), expected);
        let (_, notices) = name_columns(&columns(&names), |_| false).unwrap();
        let reasons: Vec<_> = notices.iter().map(|notice| notice.reason).collect();
        assert_eq!(reasons, [Reason::ColumnUnnamed, Reason::ColumnKeyword, Reason::ColumnUnnamed]);
    }

    #[test]
    fn a_title_is_no_header() {
        assert!(named(&["Sales report", "", "", ""]).unwrap_err()[0].contains("names 1 of 4 columns"));
        assert_eq!(named(&["", "", "a", "b"]).unwrap(), ["column_1", "column_2", "a", "b"]);
        assert_eq!(named(&["", ""]).unwrap(), ["column_1", "column_2"]);
    }

    #[test]
    fn columns_without_a_name_are_found_by_their_position() {
        let columns = columns(&["", "a", ""]);
        let (named, _) = name_columns(&columns, |position| position == 2).unwrap();
        let table: Vec<_> =
            named.iter().map(|named| TableColumn::new(named.name.clone(), ColumnType::Bigint)).collect();
        let parts = metricd_domain::TableParts::new(metricd_domain::TableName::parse("t").unwrap(), table);
        let (positions, notices) = locate_columns(&Table::new(parts).unwrap(), &columns, false).unwrap();
        assert_eq!((positions, notices), (vec![Some(0), Some(1)], vec![]));
    }

    #[test]
    fn names_that_become_the_same_are_refused() {
        let faults = named(&["a b", "A_B", "x", "x", "€", "xmin"]).unwrap_err();
        assert_eq!(faults.len(), 4);
        assert!(
            faults[2].contains("neither letters nor digits") && faults[3].contains("every table of PostgreSQL has"),
            "{faults:?}"
        );
        assert!(faults[0].contains("`a b` and `A_B` would both be named `a_b`"), "{faults:?}");
        assert!(faults[1].contains("`x` more than once"), "{faults:?}");
        let many = vec!["x"; MAX_TABLE_COLUMNS + 1];
        assert!(named(&many).unwrap_err()[0].contains("at most 1600"));
    }
}
