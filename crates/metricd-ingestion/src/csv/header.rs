//! The header of a CSV file: the names of its columns and their order.

use super::fields::Fields;

/// The trimmed names of the columns. Invalid UTF-8 is shown as replacement characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) names: Vec<String>,
}

/// The positions of the wanted columns in each record.
#[derive(Debug, Clone)]
pub(crate) struct Columns<const N: usize> {
    pub(crate) positions: [usize; N],
    /// The expected number of fields of each record.
    pub(crate) width: usize,
}

/// A fault of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// A wanted column is missing. `similar` is a similar name in the header, if there is one.
    Missing { column: &'static str, similar: Option<String> },
    /// A wanted column occurs more than once.
    Repeated { column: &'static str },
}

impl Header {
    pub(crate) fn new(fields: Fields<'_>) -> Self {
        Self { names: fields.iter().map(|name| String::from_utf8_lossy(name).trim().to_owned()).collect() }
    }

    /// The number of wanted columns in the header.
    pub(crate) fn count(&self, wanted: &[&str]) -> usize {
        wanted.iter().filter(|column| self.names.iter().any(|name| name == *column)).count()
    }

    /// The number of wanted columns for which the header has the same name or a similar one.
    pub(crate) fn count_similar(&self, wanted: &[&str]) -> usize {
        wanted.iter().filter(|column| self.names.iter().any(|name| similar(name, column))).count()
    }

    /// Finds the position of each wanted column.
    ///
    /// # Errors
    ///
    /// All [`HeaderFault`]s, in the order of the wanted columns.
    pub(crate) fn locate<const N: usize>(&self, wanted: [&'static str; N]) -> Result<Columns<N>, Vec<HeaderFault>> {
        let mut faults = Vec::new();
        let positions = wanted.map(|column| {
            let mut found = self.names.iter().enumerate().filter(|(_, name)| *name == column).map(|(index, _)| index);
            let Some(position) = found.next() else {
                let similar = self.unknown(&wanted).find(|name| similar(name, column)).cloned();
                faults.push(HeaderFault::Missing { column, similar });
                return 0;
            };
            if found.next().is_some() {
                faults.push(HeaderFault::Repeated { column });
            }
            position
        });
        if faults.is_empty() { Ok(Columns { positions, width: self.names.len() }) } else { Err(faults) }
    }

    /// The names of columns that are not wanted.
    pub(crate) fn unknown<'a>(&'a self, wanted: &'a [&str]) -> impl Iterator<Item = &'a String> {
        self.names.iter().filter(|name| !wanted.contains(&name.as_str()))
    }
}

fn similar(name: &str, column: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace([' ', '-'], "_");
    strsim::normalized_damerau_levenshtein(&plain(name), &plain(column)) >= 0.7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(names: &[&str]) -> Header {
        Header { names: names.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn finds_columns_in_any_order() {
        let columns = header(&["query", "note", "id"]).locate(["id", "query"]).unwrap();
        assert_eq!((columns.positions, columns.width), ([2, 0], 3));
    }

    #[test]
    fn suggests_similar_names() {
        let faults = header(&["ID", "qurey"]).locate(["id", "query"]).unwrap_err();
        let missing = |column, similar: &str| HeaderFault::Missing { column, similar: Some(similar.into()) };
        assert_eq!(faults, [missing("id", "ID"), missing("query", "qurey")]);
        let faults = header(&["id", "id"]).locate(["id", "query"]).unwrap_err();
        let missing = HeaderFault::Missing { column: "query", similar: None };
        assert_eq!(faults, [HeaderFault::Repeated { column: "id" }, missing]);
    }
}
