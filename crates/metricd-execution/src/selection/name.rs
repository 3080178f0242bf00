//! Names of columns in requests.

use metricd_domain::{Contract, ContractColumn, shortened};

use super::MAX_SHOWN_CHARS;

/// The maximum number of columns in a message.
const MAX_SHOWN_COLUMNS: usize = 50;

/// The column of this name.
///
/// # Errors
///
/// Which columns there are, if it is none of them.
pub(super) fn column<'a>(name: &str, contract: &'a Contract) -> Result<&'a ContractColumn, String> {
    let mut named = contract.columns().iter().filter(|column| column.name == name);
    let shown = shortened(name, MAX_SHOWN_CHARS);
    match (named.next(), named.next()) {
        (Some(column), None) => Ok(column),
        (Some(_), Some(_)) => Err(format!("several columns of the result are named `{shown}`")),
        (None, _) if contract.columns().is_empty() => Err("the result has no columns".to_owned()),
        (None, _) => {
            let columns = contract.columns().iter().take(MAX_SHOWN_COLUMNS);
            let columns: Vec<_> =
                columns.map(|column| format!("`{}`", shortened(&written(&column.name), MAX_SHOWN_CHARS))).collect();
            let more = if contract.columns().len() > MAX_SHOWN_COLUMNS { ", …" } else { "" };
            Err(format!("the result has no column `{shown}`: expected one of {}{more}", columns.join(", ")))
        }
    }
}

/// The name as a sort or a filter has to write it.
pub(super) fn written(name: &str) -> String {
    let needs_quotes = name.is_empty() || name.starts_with('-') || name.contains(['"', ',', '.']);
    if needs_quotes { format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\"")) } else { name.to_owned() }
}
