//! Reads the resolved condition of a row-level security policy.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::TREE_STACK_BYTES;
use super::node::{Node, Object};

/// Built-in types, functions and operators have smaller oids (`FirstNormalObjectId`).
const FIRST_NORMAL_OID: u32 = 16_384;

/// The oid of `text(character)`. PostgreSQL calls it if a column of type `character` is compared with a text.
const TEXT_OF_BPCHAR: u32 = 401;

/// The kind of a scalar subquery in `subLinkType`.
const EXPR_SUBLINK: u32 = 4;

/// The oids of a database that are needed to read the conditions of its policies.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PolicyFacts {
    /// The function that returns the tenant.
    pub current_tenant: u32,
    /// The equality operators of texts, integers and UUIDs.
    pub equalities: BTreeSet<u32>,
    /// The nondeterministic collations, which may regard different texts as equal.
    pub inexact_collations: BTreeSet<u32>,
}

/// The rows that the condition of a policy allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyReach {
    /// Only rows with a column that equals the tenant.
    Tenant,
    /// Rows that one of the alternatives of an OR allows.
    Alternatives,
    /// Unknown rows.
    Unknown,
}

impl PolicyFacts {
    /// The rows that the condition in `pg_policy.polqual` allows. It recognises conditions by their form, without
    /// evaluating them: `column = tenancy.current_tenant()`, in either order, or an AND with such a part.
    #[must_use]
    pub fn reach(&self, condition: &str) -> PolicyReach {
        stacker::grow(TREE_STACK_BYTES, || {
            let Some(Node::Object(condition)) = Node::read(condition) else { return PolicyReach::Unknown };
            match condition.kind {
                _ if self.is_of_tenant(&condition) => PolicyReach::Tenant,
                "BOOLEXPR" if condition.word("boolop") == Some("or") => PolicyReach::Alternatives,
                _ => PolicyReach::Unknown,
            }
        })
    }

    fn is_of_tenant(&self, condition: &Object<'_>) -> bool {
        match condition.kind {
            "BOOLEXPR" => {
                condition.word("boolop") == Some("and") && condition.objects("args").any(|part| self.is_of_tenant(part))
            }
            "OPEXPR" => {
                let is_among = |name: &str, known: &BTreeSet<u32>| {
                    condition.number(name).is_some_and(|number| known.contains(&number))
                };
                let is_exact = is_among("opno", &self.equalities) && !is_among("inputcollid", &self.inexact_collations);
                let sides: Vec<_> = condition.objects("args").collect();
                let [left, right] = sides.as_slice() else { return false };
                let is_pair = |one, other| is_column(one) && self.is_current_tenant(other);
                is_exact && (is_pair(left, right) || is_pair(right, left))
            }
            _ => false,
        }
    }

    /// Whether the value is the tenant, unchanged or cast to another type.
    fn is_current_tenant(&self, value: &Object<'_>) -> bool {
        match value.kind {
            "FUNCEXPR" => value.number("funcid") == Some(self.current_tenant),
            "RELABELTYPE" | "COERCEVIAIO" | "COLLATEEXPR" => {
                inner(value).is_some_and(|inner| self.is_current_tenant(inner))
            }
            "SUBLINK" if value.number("subLinkType") == Some(EXPR_SUBLINK) => {
                let Some(query) = value.field("subselect").and_then(Node::as_object) else { return false };
                let targets: Vec<_> = query.objects("targetList").collect();
                let [target] = targets.as_slice() else { return false };
                let selected = target.field("expr").and_then(Node::as_object);
                // Regardless of the rest of the subquery, its value is the tenant, NULL or an error.
                query.word("setOperations") == Some("<>") && selected.is_some_and(|of| self.is_current_tenant(of))
            }
            _ => false,
        }
    }
}

/// Whether the value is a column of the policy's table, unchanged or converted to a text that differs for different
/// values.
fn is_column(value: &Object<'_>) -> bool {
    let is_own = |value: &Object<'_>| {
        value.kind == "VAR"
            && value.word("varno") == Some("1")
            && value.word("varlevelsup") == Some("0")
            && value.number::<i32>("varattno").is_some_and(|number| number > 0)
    };
    match value.kind {
        "RELABELTYPE" | "COLLATEEXPR" => inner(value).is_some_and(is_column),
        "COERCEVIAIO" => inner(value).is_some_and(|column| {
            is_own(column) && column.number::<u32>("vartype").is_some_and(|number| number < FIRST_NORMAL_OID)
        }),
        "FUNCEXPR" if value.number("funcid") == Some(TEXT_OF_BPCHAR) => {
            let arguments: Vec<_> = value.objects("args").collect();
            matches!(arguments.as_slice(), [column] if is_own(column))
        }
        _ => is_own(value),
    }
}

/// The operand of a conversion, if the node is one.
fn inner<'a, 'b>(conversion: &'b Object<'a>) -> Option<&'b Object<'a>> {
    conversion.field("arg").and_then(Node::as_object)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TENANT: &str = "{FUNCEXPR :funcid 16403 :funcresulttype 25 :args <>}";

    fn facts() -> PolicyFacts {
        PolicyFacts { current_tenant: 16_403, equalities: [98].into(), inexact_collations: [17_000].into() }
    }

    fn column(number: i32) -> String {
        format!("{{VAR :varno 1 :varattno {number} :vartype 25 :varlevelsup 0}}")
    }

    fn equal(left: &str, right: &str) -> String {
        format!("{{OPEXPR :opno 98 :inputcollid 100 :args ({left} {right})}}")
    }

    fn all(operator: &str, parts: &[&str]) -> String {
        format!("{{BOOLEXPR :boolop {operator} :args ({})}}", parts.join(" "))
    }

    fn subquery(query: &str) -> String {
        format!("{{SUBLINK :subLinkType 4 :testexpr <> :subselect {{QUERY {query}}}}}")
    }

    #[test]
    fn a_condition_is_recognised_by_its_form() {
        let own = equal(&column(1), TENANT);
        let other = "{VAR :varno 1 :varattno 6 :vartype 16 :varlevelsup 0}";
        let selected = format!(":targetList ({{TARGETENTRY :expr {TENANT} :resno 1}})");
        let cast = |kind: &str, inner: &str| format!("{{{kind} :arg {inner} :resulttype 25}}");
        let of_tenant = [
            own.clone(),
            equal(TENANT, &column(1)),
            all("and", &[other, &own]),
            all("and", &[other, &all("and", &[&own, other])]),
            equal(&column(1), &subquery(&format!("{selected} :setOperations <>"))),
            equal(&cast("RELABELTYPE", &column(1)), TENANT),
            equal(&cast("COERCEVIAIO", &column(1)), TENANT),
            equal(&column(1), &cast("COERCEVIAIO", TENANT)),
            equal(&format!("{{FUNCEXPR :funcid 401 :args ({})}}", column(1)), TENANT),
        ];
        for condition in &of_tenant {
            assert_eq!(facts().reach(condition), PolicyReach::Tenant, "{condition}");
        }
        let custom = "{COERCEVIAIO :arg {VAR :varno 1 :varattno 1 :vartype 16500 :varlevelsup 0}}";
        let others = [
            other.to_owned(),
            all("not", &[&own]),
            own.replace(":opno 98", ":opno 531"),
            own.replace(":inputcollid 100", ":inputcollid 17000"),
            own.replace("16403", "16404"),
            own.replace(":varlevelsup 0", ":varlevelsup 1"),
            equal(TENANT, TENANT),
            equal(&column(-1), TENANT),
            equal(&column(1), &column(2)),
            equal(custom, TENANT),
            equal(&column(1), &format!("{{COALESCEEXPR :args ({TENANT} {})}}", column(1))),
            equal(&column(1), &subquery(&format!("{selected} :setOperations {{SETOPERATIONSTMT}}"))),
            equal(&column(1), &subquery(&format!("{selected} :setOperations <>")).replace("Type 4", "Type 2")),
            equal(&format!("{{FUNCEXPR :funcid 880 :args ({})}}", column(1)), TENANT),
            format!("{{OPEXPR :opno 98 :inputcollid 100 :args ({})}}", column(1)),
            format!("({own})"),
            String::new(),
        ];
        for condition in &others {
            assert_eq!(facts().reach(condition), PolicyReach::Unknown, "{condition}");
        }
        let always = "{CONST :consttype 16 :constvalue 1 [ 1 0 0 0 0 0 0 0 ]}";
        for condition in [all("or", &[always, &own]), all("or", &[&own, other]), all("or", &[&own, &own])] {
            assert_eq!(facts().reach(&condition), PolicyReach::Alternatives, "{condition}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[(){}:a \\\\é\"<>0-9]{0,60}") {
            let _ = facts().reach(&text);
        }
    }
}
