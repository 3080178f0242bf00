//! Bounds the memory that PostgreSQL needs to resolve a statement.
//!
//! PostgreSQL expands the columns of every `*`, and for each join the columns of all joined relations. So a short text
//! can expand to hundreds of thousands of columns. Each takes about 1 kB of the backend's memory. PostgreSQL
//! also stores the column names of every relation, at about 250 bytes each.

/// The maximum number of columns of a relation or a result in PostgreSQL.
const MAX_COLUMNS: u64 = 1_664;

/// The assumed number of columns of a relation, if the text has neither a `*` nor a longer list. Tables rarely have
/// more.
const ASSUMED_COLUMNS: u64 = 200;

/// A statement that expands to more columns is refused.
const MAX_EXPANDED_COLUMNS: u64 = 250_000;

/// PostgreSQL may exceed its time limit when it resolves a statement that expands to more columns.
const MANY_EXPANDED_COLUMNS: u64 = 20_000;

/// Counts what PostgreSQL expands in a statement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Complexity {
    /// The number of `*`, whether for one source or for several.
    wildcards: u64,
    /// The sum of the relations on both sides of every join.
    joined: u64,
    /// The number of relations.
    relations: u64,
    /// The length of the longest list of columns.
    longest_list: u64,
}

impl Complexity {
    /// Counts a join of `relations` relations on both sides together.
    pub(super) fn add_join(&mut self, relations: u64) {
        self.joined = self.joined.saturating_add(relations);
    }

    /// Counts the relations of a SELECT.
    pub(super) fn add_relations(&mut self, count: u64) {
        self.relations = self.relations.saturating_add(count);
    }

    /// Counts a list of columns.
    pub(super) fn add_list(&mut self, length: usize) {
        self.longest_list = self.longest_list.max(length as u64);
    }

    pub(super) fn add_wildcard(&mut self) {
        self.wildcards += 1;
    }

    /// Whether the statement is refused.
    pub(super) fn is_excessive(self) -> bool {
        self.expanded_columns() > MAX_EXPANDED_COLUMNS
    }

    /// Whether PostgreSQL may exceed its time limit when it resolves the statement.
    pub(super) fn is_large(self) -> bool {
        self.expanded_columns() > MANY_EXPANDED_COLUMNS
    }

    fn expanded_columns(self) -> u64 {
        let width = if self.wildcards > 0 { MAX_COLUMNS } else { self.longest_list.max(ASSUMED_COLUMNS) };
        self.wildcards.saturating_add(self.joined).saturating_add(self.relations / 4).saturating_mul(width)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complexity(wildcards: u64, joins: &[u64], list: usize) -> Complexity {
        let mut complexity = Complexity { wildcards, ..Complexity::default() };
        for count in joins {
            (2..count + 2).for_each(|relations| complexity.add_join(relations));
            complexity.add_relations(count + 1);
        }
        complexity.add_list(list);
        complexity
    }

    #[test]
    fn honest_reports_are_not_excessive() {
        assert!(!complexity(0, &[], 1_664).is_excessive());
        assert!(!complexity(40, &[3; 10], 50).is_excessive(), "models that begin with `SELECT *`");
        assert!(!complexity(0, &[40], 100).is_excessive(), "one join of 41 tables");
        assert!(!complexity(0, &[5; 50], 30).is_excessive());
    }

    #[test]
    fn a_page_that_expands_to_a_gigabyte_is_excessive() {
        assert!(complexity(400, &[], 1_600).is_excessive());
        assert!(complexity(1, &[18; 5], 1_600).is_excessive());
        assert!(complexity(0, &[18; 5], 1_600).is_excessive());
        assert!(complexity(0, &[100_000], 1).is_excessive());
        assert!(complexity(0, &[0; 1_000], 1_600).is_excessive());
        assert!(complexity(60, &[], 1_600).is_large() && !complexity(60, &[], 1_600).is_excessive());
        assert!(!complexity(2, &[2], 20).is_large());
    }
}
