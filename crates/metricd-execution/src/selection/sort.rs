//! The keys of a sort, by the columns of a contract.

use metricd_domain::{Contract, ContractColumn, shortened};

use super::column::ColumnType;
use super::name::column;
use super::{MAX_SHOWN_CHARS, grammar};

/// The maximum number of columns in a sort.
const MAX_SORT_COLUMNS: usize = 20;

/// A key of a sort.
pub(super) struct SortKey<'a> {
    pub(super) column: &'a ContractColumn,
    pub(super) is_descending: bool,
    /// The key as it is written.
    pub(super) text: String,
}

/// The keys of a sort by columns of a contract.
///
/// # Errors
///
/// A message for each key that is wrong.
pub(super) fn sort_keys<'a>(sort: &str, contract: &'a Contract) -> Result<Vec<SortKey<'a>>, Vec<String>> {
    let parsed = grammar::sort(sort).map_err(|message| vec![message])?;
    if parsed.len() > MAX_SORT_COLUMNS {
        return Err(vec![format!("found {} columns: expected at most {MAX_SORT_COLUMNS}", parsed.len())]);
    }
    let (mut keys, mut faults): (Vec<SortKey<'a>>, Vec<String>) = (Vec::new(), Vec::new());
    for key in parsed {
        let shown = shortened(&key.column, MAX_SHOWN_CHARS);
        match column(&key.column, contract) {
            Err(message) => faults.push(message),
            Ok(column) if keys.iter().any(|known| known.column.name == column.name) => {
                faults.push(format!("the column `{shown}` occurs twice"));
            }
            Ok(column) if !ColumnType::of(&column.type_name, contract).is_sortable() => {
                faults.push(format!("the column `{shown}` of the type `{}` has no order", column.type_name));
            }
            Ok(column) => {
                keys.push(SortKey { column, is_descending: key.is_descending, text: key.text.to_owned() });
            }
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}
