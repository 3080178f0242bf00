//! The CHECK constraint of a column.

use crate::{quote_identifier, quote_literal};

/// The maximum size of a name in PostgreSQL, in bytes.
const MAX_NAME_BYTES: usize = 63;

/// What the values of a column have to be, each as a text that PostgreSQL reads as a value of the column's type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CheckSql<'a> {
    /// The least value.
    pub minimum: Option<&'a str>,
    /// The greatest value.
    pub maximum: Option<&'a str>,
    /// The only values. Empty if there may be others.
    pub one_of: &'a [String],
}

impl CheckSql<'_> {
    /// The condition, which is NULL for no value. `None` if there is nothing to check.
    pub(super) fn condition(&self, column: &str, data_type: &str) -> Option<String> {
        let column = quote_identifier(column);
        let literal = |value: &str| format!("{}::{data_type}", quote_literal(value));
        let minimum = self.minimum.map(|minimum| format!("{column} >= {}", literal(minimum)));
        let maximum = self.maximum.map(|maximum| format!("{column} <= {}", literal(maximum)));
        let one_of: Vec<_> = self.one_of.iter().map(|value| literal(value)).collect();
        let one_of = (!one_of.is_empty()).then(|| format!("{column} IN ({})", one_of.join(", ")));
        let conditions: Vec<_> = [minimum, maximum, one_of].into_iter().flatten().collect();
        (!conditions.is_empty()).then(|| conditions.join(" AND "))
    }
}

/// The name of the constraint: `sales_amount_check`. If that is longer than PostgreSQL allows, the end of the names is
/// replaced by their hash, so that two columns of a table have different names.
pub(super) fn constraint_name(table: &str, column: &str) -> String {
    let names = format!("{table}_{column}");
    let name = format!("{names}_check");
    if name.len() <= MAX_NAME_BYTES {
        return name;
    }
    let suffix = format!("_{:016x}_check", fnv_1a(&names));
    let end = (0..=MAX_NAME_BYTES - suffix.len()).rev().find(|end| names.is_char_boundary(*end)).unwrap_or(0);
    format!("{}{suffix}", &names[..end])
}

/// The 64-bit FNV-1a hash, which is the same in every release: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn fnv_1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_of_constraints_fit_and_differ() {
        assert_eq!(constraint_name("sales", "amount"), "sales_amount_check");
        let longest = constraint_name("sales", &"a".repeat(51));
        assert_eq!((longest.len(), longest.ends_with("aa_check")), (63, true));
        let (table, long) = ("t".repeat(54), "ü".repeat(31));
        let columns = ["a", "b", &long, &format!("{long}1"), &"a".repeat(62), &format!("{}b", "a".repeat(62))];
        let names: BTreeSet<_> = columns.iter().map(|column| constraint_name(&table, column)).collect();
        assert_eq!(names.len(), columns.len(), "{names:?}");
        assert!(names.iter().all(|name| name.len() <= 63 && name.ends_with("_check")), "{names:?}");
        assert_eq!(fnv_1a("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn a_condition_compares_with_values_of_the_type() {
        let listed = ["a".to_owned(), "it's".to_owned()];
        let check = CheckSql { one_of: &listed, ..CheckSql::default() };
        assert_eq!(check.condition("s", "text").as_deref(), Some(r#""s" IN ('a'::text, 'it''s'::text)"#));
        let check = CheckSql { minimum: Some("0"), maximum: Some("1.5"), one_of: &[] };
        let expected = r#""n" >= '0'::numeric AND "n" <= '1.5'::numeric"#;
        assert_eq!(check.condition("n", "numeric").as_deref(), Some(expected));
        assert_eq!(CheckSql::default().condition("n", "numeric"), None);
    }
}
