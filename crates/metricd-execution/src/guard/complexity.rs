//! How much a statement may ask PostgreSQL to keep in mind while it is resolved.
//!
//! PostgreSQL writes out the columns of every `*`, and for each join the columns of all that it joins. A short text can so have
//! hundreds of thousands of columns within it, each of which takes about a kilobyte of the backend that resolves it. It also
//! writes down the names of the columns of every relation, which take a quarter of that.

/// How many columns a relation may have, and a result.
const MAX_COLUMNS: u64 = 1_664;

/// How many columns a relation is taken to have where the text has no `*` and no longer list: tables are seldom wider.
const USUAL_COLUMNS: u64 = 200;

/// How many columns a statement may have within it, all in all.
const MAX_INNER_COLUMNS: u64 = 250_000;

/// From how many on it is for them that PostgreSQL runs out of time.
const MANY_INNER_COLUMNS: u64 = 20_000;

/// What makes a statement large within.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Complexity {
    /// How many `*` there are, each of a source's columns or of several sources'.
    wildcards: u64,
    /// The relations that each join has on its left and its right, added up.
    joined: u64,
    /// How many relations there are.
    relations: u64,
    /// The length of the longest list of columns.
    longest_list: u64,
}

impl Complexity {
    /// Takes a join of so many relations into account, those on its left and its right together.
    pub(super) fn add_join(&mut self, relations: u64) {
        self.joined = self.joined.saturating_add(relations);
    }

    /// Takes the relations of a SELECT into account.
    pub(super) fn add_relations(&mut self, count: u64) {
        self.relations = self.relations.saturating_add(count);
    }

    /// Takes a list of columns into account.
    pub(super) fn add_list(&mut self, length: usize) {
        self.longest_list = self.longest_list.max(length as u64);
    }

    pub(super) fn add_wildcard(&mut self) {
        self.wildcards += 1;
    }

    /// Whether PostgreSQL would have to keep more in mind than it may.
    pub(super) fn is_excessive(self) -> bool {
        self.inner_columns() > MAX_INNER_COLUMNS
    }

    /// Whether there is so much that PostgreSQL may need longer for it than it is given.
    pub(super) fn is_large(self) -> bool {
        self.inner_columns() > MANY_INNER_COLUMNS
    }

    fn inner_columns(self) -> u64 {
        let width = if self.wildcards > 0 { MAX_COLUMNS } else { self.longest_list.max(USUAL_COLUMNS) };
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
    fn what_makes_a_gigabyte_of_a_page_is() {
        assert!(complexity(400, &[], 1_600).is_excessive());
        assert!(complexity(1, &[18; 5], 1_600).is_excessive());
        assert!(complexity(0, &[18; 5], 1_600).is_excessive());
        assert!(complexity(0, &[100_000], 1).is_excessive());
        assert!(complexity(0, &[0; 1_000], 1_600).is_excessive());
        assert!(complexity(60, &[], 1_600).is_large() && !complexity(60, &[], 1_600).is_excessive());
        assert!(!complexity(2, &[2], 20).is_large());
    }
}
