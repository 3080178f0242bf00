//! Converts trees to a canonical form, in which trees of the same meaning are equal.

use std::collections::BTreeMap;

use super::TreeError;
use super::node::{Node, Object};
use super::source::SourceSubquery;

/// Fields that do not change the meaning of a statement:
///
/// - positions in the text, also those of array constructors, which PostgreSQL 18 has added;
/// - what PostgreSQL checks privileges by, since every statement runs as the same role;
/// - the column numbers of the sides of a join, which `joinaliasvars` repeats.
const IGNORED_FIELDS: [&str; 16] = [
    "location",
    "stmt_location",
    "stmt_len",
    "list_start",
    "list_end",
    "queryId",
    "requiredPerms",
    "checkAsUser",
    "selectedCols",
    "insertedCols",
    "updatedCols",
    "extraUpdatedCols",
    "perminfoindex",
    "rteperminfos",
    "joinleftcols",
    "joinrightcols",
];

/// How a tree reads the source.
#[derive(Debug)]
enum SourceForm<'a> {
    /// The source is not distinguished.
    Any,
    /// As a table.
    Table(&'a SourceSubquery),
    /// As this subquery over the table, with columns that have these numbers in the table.
    Subquery { query: Object<'a>, columns: &'a [usize] },
}

/// Converts trees to the canonical form, in which the source is the same node whether it is a table or a subquery. If
/// PostgreSQL lists all columns of the table, those that the subquery lacks are removed, because the statement does not
/// read them.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    form: SourceForm<'a>,
    range_tables: Vec<RangeTable>,
    has_whole_row: bool,
}

/// The sources and joins in the range table of an enclosing query.
#[derive(Debug, Default)]
struct RangeTable {
    /// The numbers of the entries that are the source.
    sources: Vec<usize>,
    /// For joins from which columns are removed: the numbers of the columns that are kept, by the number of the entry.
    joins: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Canonical<'a> {
    /// Makes a conversion of trees without a source.
    pub(super) fn plain() -> Self {
        Self { form: SourceForm::Any, range_tables: Vec::new(), has_whole_row: false }
    }

    /// Makes a conversion of a statement that reads the table.
    pub(super) fn of_original(source: &'a SourceSubquery) -> Self {
        Self { form: SourceForm::Table(source), ..Self::plain() }
    }

    /// Makes a conversion of a statement that reads the subquery instead of the table.
    pub(super) fn of_narrowed(source: &'a SourceSubquery) -> Result<Self, TreeError> {
        let (query, _) = without_inheritance(Self::plain().query(source.subquery()?));
        Ok(Self { form: SourceForm::Subquery { query, columns: &source.columns }, ..Self::plain() })
    }

    /// Whether a tree used a whole row of the source.
    pub(super) fn has_whole_row(&self) -> bool {
        self.has_whole_row
    }

    pub(super) fn query<'t>(&mut self, mut query: Object<'t>) -> Object<'t> {
        let mut range_table = RangeTable::default();
        for (number, entry) in (1..).zip(entries_of(&mut query)) {
            if let Some(source) = entry.as_object().and_then(|entry| self.source(entry)) {
                *entry = Node::Object(source);
                range_table.sources.push(number);
            }
        }
        for (number, entry) in (1..).zip(entries_of(&mut query)) {
            if let Node::Object(entry) = entry
                && let Some(kept) = self.kept_columns(entry, &range_table.sources)
            {
                retain(entry, "joinaliasvars", &kept);
                let names = entry.fields.iter_mut().find(|(name, _)| *name == "eref");
                if let Some([Node::Object(names)]) = names.map(|(_, values)| values.as_mut_slice()) {
                    retain(names, "colnames", &kept);
                }
                range_table.joins.insert(number, kept);
            }
        }
        self.range_tables.push(range_table);
        let query = self.object(query);
        self.range_tables.pop();
        query
    }

    /// Returns the canonical source if the entry is the source.
    fn source<'t>(&self, entry: &Object<'t>) -> Option<Object<'t>> {
        let inheritance = match &self.form {
            SourceForm::Table(source) => {
                let is_source = entry.word("rtekind") == Some("0")
                    && entry.word("relid") == Some(&source.relation)
                    && entry.word("tablesample") == Some("<>")
                    && entry.word("inFromCl") == Some("true");
                is_source.then(|| entry.field("inh").cloned())?
            }
            SourceForm::Subquery { query, .. } if entry.word("rtekind") == Some("1") => {
                let found = entry.field("subquery")?.as_object()?.clone();
                let (found, inheritance) = without_inheritance(Self::plain().query(found));
                (found == *query).then_some(inheritance)?
            }
            _ => None,
        };
        let mut names = entry.field("eref")?.as_object().cloned()?;
        if let SourceForm::Table(SourceSubquery { columns, .. }) = &self.form {
            retain(&mut names, "colnames", columns);
        }
        let mut fields = vec![("eref", vec![Node::Object(names)]), ("inh", vec![inheritance?])];
        for name in ["lateral", "securityQuals"] {
            fields.extend(entry.field(name).cloned().map(|value| (name, vec![value])));
        }
        Some(Object { kind: "SOURCE", fields })
    }

    /// The numbers of the columns of a join, without those of the table that the subquery lacks. `None` if all are
    /// kept.
    fn kept_columns(&self, entry: &Object<'_>, sources: &[usize]) -> Option<Vec<usize>> {
        let SourceForm::Table(SourceSubquery { columns, .. }) = &self.form else { return None };
        let is_left_out = |column: &Node<'_>| {
            column.as_object().is_some_and(|column| {
                column.kind == "VAR"
                    && column.word("varlevelsup") == Some("0")
                    && column.number("varno").is_some_and(|number| sources.contains(&number))
                    && column.number("varattno").is_some_and(|number| !columns.contains(&number))
            })
        };
        let all = entry.list("joinaliasvars");
        let kept = (1..).zip(all).filter(|(_, column)| !is_left_out(column)).map(|(number, _)| number);
        let kept: Vec<_> = kept.collect();
        (kept.len() < all.len()).then_some(kept)
    }

    fn node<'t>(&mut self, node: Node<'t>) -> Node<'t> {
        match node {
            Node::Object(object) if object.kind == "QUERY" => Node::Object(self.query(object)),
            Node::Object(object) => Node::Object(self.object(object)),
            Node::List(list) => Node::List(list.into_iter().map(|node| self.node(node)).collect()),
            Node::Word(word) => Node::Word(word),
        }
    }

    fn object<'t>(&mut self, mut object: Object<'t>) -> Object<'t> {
        object.fields.retain(|(name, _)| !IGNORED_FIELDS.contains(name));
        if object.kind == "VAR" {
            self.column(&mut object);
        }
        let fields = object.fields.into_iter();
        object.fields =
            fields.map(|(name, values)| (name, values.into_iter().map(|node| self.node(node)).collect())).collect();
        object
    }

    /// Renumbers a reference to a column. A column of the source gets its number in the table, and a column of a join
    /// its number among the columns that are kept.
    fn column(&mut self, object: &mut Object<'_>) {
        let levels = object.number("varlevelsup").unwrap_or_default();
        for (entry, column) in [("varno", "varattno"), ("varnosyn", "varattnosyn")] {
            let Some(number) = object.number::<usize>(entry) else { continue };
            let Some(range_table) = self.range_table(levels) else { continue };
            let column_number = object.number::<usize>(column);
            let (is_source, join) = (range_table.sources.contains(&number), range_table.joins.get(&number));
            let renumbered = match (&self.form, join, column_number) {
                (SourceForm::Subquery { columns, .. }, _, Some(column_number)) if is_source => {
                    column_number.checked_sub(1).and_then(|index| columns.get(index)).map(ToString::to_string)
                }
                // A removed column has no new number.
                (_, Some(kept), Some(column_number @ 1..)) => {
                    let among_kept = kept.iter().position(|kept| *kept == column_number);
                    Some(among_kept.map_or_else(|| "left out".to_owned(), |index| (index + 1).to_string()))
                }
                _ => None,
            };
            self.has_whole_row |= (is_source || join.is_some()) && column_number == Some(0) && column == "varattno";
            if let Some(renumbered) = renumbered {
                set(object, column, renumbered);
            }
        }
    }

    fn range_table(&self, levels: usize) -> Option<&RangeTable> {
        self.range_tables.get(self.range_tables.len().checked_sub(levels + 1)?)
    }
}

/// The entries of the query's range table.
fn entries_of<'q, 't>(query: &'q mut Object<'t>) -> &'q mut [Node<'t>] {
    let rtable = query.fields.iter_mut().find(|(name, _)| *name == "rtable");
    match rtable.map(|(_, values)| values.as_mut_slice()) {
        Some([Node::List(entries)]) => entries,
        _ => &mut [],
    }
}

/// Keeps the entries of a list with these numbers, which count from 1.
fn retain(object: &mut Object<'_>, name: &str, numbers: &[usize]) {
    let Some((_, values)) = object.fields.iter_mut().find(|(field, _)| *field == name) else { return };
    if let [Node::List(list)] = values.as_mut_slice() {
        let mut number = 0;
        list.retain(|_| {
            number += 1;
            numbers.contains(&number)
        });
        // An empty list is null.
        if list.is_empty() {
            *values = vec![Node::Word("<>".into())];
        }
    }
}

fn set(object: &mut Object<'_>, name: &str, word: String) {
    if let Some((_, values)) = object.fields.iter_mut().find(|(field, _)| *field == name) {
        *values = vec![Node::Word(word.into())];
    }
}

/// Removes the flag `inh` of the only entry of the query's range table, and returns it.
fn without_inheritance(mut query: Object<'_>) -> (Object<'_>, Option<Node<'_>>) {
    let mut inheritance = None;
    if let [Node::Object(entry)] = entries_of(&mut query) {
        entry.fields.retain(|(name, values)| {
            let is_it = *name == "inh";
            if is_it {
                inheritance = values.first().cloned();
            }
            !is_it
        });
    }
    (query, inheritance)
}
