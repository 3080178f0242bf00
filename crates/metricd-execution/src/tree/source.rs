//! The table that a period narrows, and the parts of a statement whose result depends on its other rows.

use super::node::{Node, Object};
use super::{QueryTree, TREE_STACK_BYTES, TreeError};

/// The resolved subquery that replaces a table for a period.
#[derive(Debug, Clone)]
pub(crate) struct SourceSubquery {
    /// The tree of a statement that selects everything from the subquery.
    tree: QueryTree,
    /// The oid of the table.
    pub(super) relation: String,
    /// The number of the time column in the table, if the subquery has that column.
    time_column: Option<usize>,
    /// The numbers in the table of the subquery's columns.
    pub(super) columns: Vec<usize>,
}

/// A part of a statement whose result for one row depends on other rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum RowDependence {
    Window,
    DistinctOn,
    Limit,
    Recursion,
}

impl RowDependence {
    /// The name, for a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Window => "a window function",
            Self::DistinctOn => "DISTINCT ON",
            Self::Limit => "LIMIT, OFFSET or FETCH",
            Self::Recursion => "a recursive WITH query",
        }
    }
}

impl SourceSubquery {
    /// Reads the subquery from the tree of a statement that selects everything from it. `position` is the index of the
    /// time column in the subquery, if it has one.
    pub(crate) fn new(tree: QueryTree, position: Option<usize>) -> Result<Self, TreeError> {
        let (relation, columns) = stacker::grow(TREE_STACK_BYTES, || {
            let subquery = tree.query()?.only_subquery().ok_or(TreeError::Unreadable)?;
            let mut entries = subquery.objects("rtable");
            let relation = entries.next().and_then(|entry| entry.word("relid")).map(str::to_owned);
            relation.zip(columns_of(&subquery)).ok_or(TreeError::Unreadable)
        })?;
        let time_column = position.and_then(|position| columns.get(position).copied());
        Ok(Self { tree, relation, time_column, columns })
    }

    /// The subquery in the tree.
    pub(super) fn subquery(&self) -> Result<Object<'_>, TreeError> {
        self.tree.query()?.only_subquery().ok_or(TreeError::Unreadable)
    }

    /// The indexes of the result columns that show the time column unchanged.
    pub(crate) fn shown_in(&self, statement: &QueryTree) -> Result<Vec<usize>, TreeError> {
        statement.with(|query| {
            let is_it = |entry: &&Object<'_>| {
                entry.word("resjunk") == Some("false")
                    && entry.word("resorigtbl") == Some(&self.relation)
                    && self.time_column.is_some()
                    && entry.number("resorigcol") == self.time_column
            };
            let position = |entry: &Object<'_>| entry.number::<usize>("resno")?.checked_sub(1);
            Ok(query.objects("targetList").filter(is_it).filter_map(position).collect())
        })
    }

    /// The parts of the statement whose result depends on other rows of the source.
    pub(crate) fn dependences(&self, statement: &QueryTree) -> Result<Vec<RowDependence>, TreeError> {
        statement.with(|query| {
            let mut walk =
                DependenceWalk { relation: &self.relation, scopes: Vec::new(), found: Vec::new(), is_unknown: false };
            walk.query(&query);
            if walk.is_unknown {
                return Err(TreeError::Unreadable);
            }
            walk.found.sort();
            walk.found.dedup();
            Ok(walk.found)
        })
    }
}

/// The numbers in the table of the columns that a query selects. `None` if it selects anything else.
fn columns_of(query: &Object<'_>) -> Option<Vec<usize>> {
    let column = |entry: &Object<'_>| entry.field("expr")?.as_object()?.number("varattno");
    query.objects("targetList").map(column).collect()
}

/// Walks a query, and determines which parts of it read the source.
struct DependenceWalk<'a> {
    relation: &'a str,
    /// The WITH queries of each enclosing query, and whether they read the source.
    scopes: Vec<Vec<(String, bool)>>,
    found: Vec<RowDependence>,
    /// Whether a node or a missing field of the tree differs from those of PostgreSQL up to version 18.
    is_unknown: bool,
}

/// The fields that determine a dependence. In every version, every query has all of them.
const DEPENDENCE_FIELDS: [&str; 4] = ["hasWindowFuncs", "hasDistinctOn", "limitCount", "limitOffset"];

/// The known values of `rtekind`: relation, subquery, join, function, table function, VALUES, WITH query, transition
/// table, empty FROM, and (since PostgreSQL 18) grouping.
const ENTRY_KINDS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

impl DependenceWalk<'_> {
    /// Whether the query reads the source. If it does, the parts that depend on its rows are recorded.
    fn query(&mut self, query: &Object<'_>) -> bool {
        self.is_unknown |= DEPENDENCE_FIELDS.iter().any(|name| query.field(name).is_none());
        self.scopes.push(Vec::new());
        for with in query.objects("cteList") {
            let reads = with.field("ctequery").is_some_and(|query| self.node(query));
            if reads && with.word("cterecursive") == Some("true") {
                self.found.push(RowDependence::Recursion);
            }
            if let (Some(name), Some(scope)) = (with.word("ctename"), self.scopes.last_mut()) {
                scope.push((name.to_owned(), reads));
            }
        }
        let fields = query.fields.iter().filter(|(name, _)| *name != "cteList");
        let mut reads = false;
        for node in fields.flat_map(|(_, values)| values) {
            reads |= self.node(node);
        }
        self.scopes.pop();
        if reads {
            let is_set = |name: &str| query.word(name) != Some("<>");
            let found = [
                (query.word("hasWindowFuncs") == Some("true"), RowDependence::Window),
                (query.word("hasDistinctOn") == Some("true"), RowDependence::DistinctOn),
                (is_set("limitCount") || is_set("limitOffset"), RowDependence::Limit),
            ];
            self.found.extend(found.into_iter().filter_map(|(is_there, dependence)| is_there.then_some(dependence)));
        }
        reads
    }

    /// Whether the node reads the source.
    fn node(&mut self, node: &Node<'_>) -> bool {
        let kind = node.as_object().and_then(|entry| entry.word("rtekind"));
        self.is_unknown |= kind.is_some_and(|kind| !ENTRY_KINDS.contains(&kind));
        match node.as_object() {
            Some(query) if query.kind == "QUERY" => return self.query(query),
            Some(entry) if entry.word("rtekind") == Some("0") && entry.word("relid") == Some(self.relation) => {
                return true;
            }
            Some(entry) if entry.word("rtekind") == Some("6") => return self.with_query_reads(entry),
            _ => {}
        }
        let mut reads = false;
        for child in node.children() {
            reads |= self.node(child);
        }
        reads
    }

    /// Whether the WITH query that the entry names reads the source. A recursive reference to itself does not count.
    fn with_query_reads(&self, entry: &Object<'_>) -> bool {
        if entry.word("self_reference") == Some("true") {
            return false;
        }
        let scope = entry.number::<usize>("ctelevelsup").and_then(|levels| {
            let index = self.scopes.len().checked_sub(levels + 1)?;
            self.scopes.get(index)
        });
        let name = entry.word("ctename");
        let known = scope.into_iter().flatten().find(|(known, _)| Some(known.as_str()) == name);
        known.is_none_or(|(_, reads)| *reads)
    }
}
