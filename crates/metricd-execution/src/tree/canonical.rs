//! Trees without what makes no difference, so that those of one meaning are equal.

use super::TreeError;
use super::node::{Node, Object, is_view_itself};
use super::source::{Source, columns_of};

/// Fields that do not change what a statement means: positions in the text; the role and the columns whose rights are
/// checked, since the role that runs the statement is always the same; and the numbers of a join's columns on its two sides,
/// which `joinaliasvars` repeats.
const MEANINGLESS: [&str; 14] = [
    "location",
    "stmt_location",
    "stmt_len",
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

/// How the source stands in a tree.
#[derive(Debug)]
enum Reading<'a> {
    /// Nothing stands for it.
    Any,
    /// As a table.
    Table(&'a str),
    /// As this subquery over the table, whose columns have these numbers in the table.
    Subquery { query: Object<'a>, columns: Vec<String> },
}

/// Makes trees comparable: both ways in which a source is read become one.
#[derive(Debug)]
pub(super) struct Canonical<'a> {
    reading: Reading<'a>,
    scopes: Vec<Scope>,
    has_whole_row: bool,
}

/// What is known of the range table of a query around.
#[derive(Debug, Default)]
struct Scope {
    /// How many entries of the view itself were taken out before the others.
    taken_out: usize,
    /// The entries that are the source.
    sources: Vec<usize>,
}

impl<'a> Canonical<'a> {
    /// For trees in which nothing stands for anything else.
    pub(super) fn plain() -> Self {
        Self { reading: Reading::Any, scopes: Vec::new(), has_whole_row: false }
    }

    /// For a statement that reads the table.
    pub(super) fn of_original(source: &'a Source) -> Self {
        Self { reading: Reading::Table(&source.relation), ..Self::plain() }
    }

    /// For a statement that reads the subquery in the table's place.
    pub(super) fn of_narrowed(source: &'a Source) -> Result<Self, TreeError> {
        let query = source.subquery()?;
        let columns = columns_of(&query).ok_or(TreeError::Unreadable)?;
        Ok(Self {
            reading: Reading::Subquery { query: without_inheritance(Self::plain().query(query)).0, columns },
            ..Self::plain()
        })
    }

    /// Whether a whole row of the source was seen.
    pub(super) fn has_whole_row(&self) -> bool {
        self.has_whole_row
    }

    pub(super) fn query<'t>(&mut self, mut query: Object<'t>) -> Object<'t> {
        let mut scope = Scope::default();
        if let Some((_, values)) = query.fields.iter_mut().find(|(name, _)| *name == "rtable")
            && let [Node::List(entries)] = values.as_mut_slice()
        {
            let is_top = self.scopes.is_empty();
            let is_taken_out = |entry: &&Node<'_>| is_top && entry.as_object().is_some_and(is_view_itself);
            scope.taken_out = entries.iter().take_while(is_taken_out).count();
            entries.drain(..scope.taken_out);
            for (index, entry) in (scope.taken_out + 1..).zip(entries.iter_mut()) {
                let source = entry.as_object().and_then(|entry| self.source(entry));
                if let Some(source) = source {
                    *entry = Node::Object(source);
                    scope.sources.push(index);
                }
            }
            // A list of nothing is null.
            if entries.is_empty() {
                *values = vec![Node::Word("<>".into())];
            }
        }
        self.scopes.push(scope);
        let query = self.object(query);
        self.scopes.pop();
        query
    }

    /// The entry as the source, where it is that.
    fn source<'t>(&self, entry: &Object<'t>) -> Option<Object<'t>> {
        let inheritance = match &self.reading {
            Reading::Table(relation) => {
                let is_source = entry.word("rtekind") == Some("0")
                    && entry.word("relid") == Some(relation)
                    && entry.word("tablesample") == Some("<>")
                    && entry.word("inFromCl") == Some("true");
                is_source.then(|| entry.field("inh").cloned())?
            }
            Reading::Subquery { query, .. } if entry.word("rtekind") == Some("1") => {
                let found = entry.field("subquery")?.as_object()?.clone();
                let (found, inheritance) = without_inheritance(Self::plain().query(found));
                (found == *query).then_some(inheritance)?
            }
            _ => None,
        };
        let names = |name: &str| entry.field(name)?.as_object().cloned();
        let mut names = names("eref")?;
        // The names of columns that the table had once are empty; a subquery has none for them.
        if let Some((_, values)) = names.fields.iter_mut().find(|(name, _)| *name == "colnames")
            && let [Node::List(columns)] = values.as_mut_slice()
        {
            columns.retain(|column| column.as_word() != Some("\"\""));
        }
        let mut fields = vec![("eref", vec![Node::Object(names)]), ("inh", vec![inheritance?])];
        for name in ["lateral", "securityQuals"] {
            fields.extend(entry.field(name).cloned().map(|value| (name, vec![value])));
        }
        Some(Object { kind: "SOURCE", fields })
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
        object.fields.retain(|(name, _)| !MEANINGLESS.contains(name));
        match object.kind {
            "VAR" => self.column(&mut object),
            "RANGETBLREF" | "JOINEXPR" => self.renumber(&mut object, "rtindex", 0),
            _ => {}
        }
        let fields = object.fields.into_iter();
        object.fields =
            fields.map(|(name, values)| (name, values.into_iter().map(|node| self.node(node)).collect())).collect();
        object
    }

    /// A reference to a column: to the entry's number without those that were taken out, and the column's in the table.
    fn column(&mut self, object: &mut Object<'_>) {
        let levels = object.number("varlevelsup").unwrap_or_default();
        for (entry, column) in [("varno", "varattno"), ("varnosyn", "varattnosyn")] {
            let is_source = self
                .scope(levels)
                .zip(object.number::<usize>(entry))
                .is_some_and(|(scope, number)| scope.sources.contains(&number));
            if is_source {
                self.has_whole_row |= object.word(column) == Some("0");
                let in_table = match &self.reading {
                    Reading::Subquery { columns, .. } => {
                        object.number::<usize>(column).and_then(|number| columns.get(number.checked_sub(1)?))
                    }
                    Reading::Any | Reading::Table(_) => None,
                };
                if let Some(in_table) = in_table {
                    set(object, column, in_table.clone());
                }
            }
            self.renumber(object, entry, levels);
        }
    }

    fn renumber(&self, object: &mut Object<'_>, name: &str, levels: usize) {
        let taken_out = self.scope(levels).map_or(0, |scope| scope.taken_out);
        if let Some(number) = object.number::<usize>(name).filter(|number| *number > taken_out && taken_out > 0) {
            set(object, name, (number - taken_out).to_string());
        }
    }

    fn scope(&self, levels: usize) -> Option<&Scope> {
        self.scopes.get(self.scopes.len().checked_sub(levels + 1)?)
    }
}

fn set(object: &mut Object<'_>, name: &str, word: String) {
    if let Some((_, values)) = object.fields.iter_mut().find(|(field, _)| *field == name) {
        *values = vec![Node::Word(word.into())];
    }
}

/// The query without what it says of its table's heirs, and what it says.
fn without_inheritance(mut query: Object<'_>) -> (Object<'_>, Option<Node<'_>>) {
    let mut inheritance = None;
    if let Some((_, values)) = query.fields.iter_mut().find(|(name, _)| *name == "rtable")
        && let [Node::List(entries)] = values.as_mut_slice()
        && let [Node::Object(entry)] = entries.as_mut_slice()
    {
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
