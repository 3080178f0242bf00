//! Which relations lack row-level security for tenants, according to the catalogs.

use metricd_execution::{PolicyFacts, PolicyReach, Relation};
use serde::Deserialize;

/// The maximum length of a policy's condition in a message.
const MAX_SHOWN_CHARS: usize = 200;

/// The result of `relations.sql`.
#[derive(Debug, Deserialize)]
struct RelationsDocument {
    facts: PolicyFacts,
    relations: Vec<Found>,
}

/// A relation that the reader may read.
#[derive(Debug, Deserialize)]
struct Found {
    schema: String,
    name: String,
    is_visible: bool,
    gap: Option<Gap>,
    /// The policies that apply to the reader.
    policies: Vec<Policy>,
}

/// Why policies do not protect the relation.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Gap {
    View,
    MaterializedView,
    ForeignTable,
    RowSecurity,
    Citus,
    Definer,
}

impl Gap {
    fn reason(self) -> &'static str {
        match self {
            Self::View => "the view lacks `security_invoker`",
            Self::MaterializedView => "a materialized view has no row security",
            Self::ForeignTable => {
                "a foreign table has no row security: revoke SELECT on it from the reader, who may read it through a table with \
                 policies"
            }
            Self::RowSecurity => "its row security is off, or does not hold for the reader",
            Self::Citus => "Citus may distribute it, and its workers do not know the tenant",
            Self::Definer => "it runs as SECURITY DEFINER",
        }
    }
}

#[derive(Debug, Deserialize)]
struct Policy {
    name: String,
    is_permissive: bool,
    /// The expression tree of its USING.
    condition: String,
    /// The same as SQL.
    text: String,
}

impl Policy {
    /// Why it may show rows of other tenants; `None` if it cannot.
    fn gap(&self, facts: &PolicyFacts) -> Option<String> {
        let Self { name, text, .. } = self;
        let what = match facts.reach(&self.condition) {
            PolicyReach::Tenant => return None,
            PolicyReach::Alternatives => "shows what either side of an OR lets through",
            PolicyReach::Unknown => "does not restrict each row to the tenant",
        };
        let mut shown: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = shown.char_indices().nth(MAX_SHOWN_CHARS) {
            shown.truncate(end);
            shown.push('…');
        }
        Some(format!("the policy `{name}` {what}: `USING {shown}`"))
    }
}

/// Parses the result.
pub(crate) fn relations(document: &str) -> Result<Vec<Relation>, serde_json::Error> {
    let RelationsDocument { facts, relations } = serde_json::from_str(document)?;
    let relation = |Found { schema, name, is_visible, gap, policies }: Found| {
        let gap = gap.map(|gap| gap.reason().to_owned()).or_else(|| policy_gap(&policies, &facts));
        Relation { schema, name, is_visible, gap }
    };
    Ok(relations.into_iter().map(relation).collect())
}

/// Why the policies may show rows of other tenants. One of several permissive policies suffices to show a row; all
/// restrictive ones apply. Without a permissive policy no row is shown.
fn policy_gap(policies: &[Policy], facts: &PolicyFacts) -> Option<String> {
    let (permissive, restrictive): (Vec<_>, Vec<_>) = policies.iter().partition(|policy| policy.is_permissive);
    if restrictive.iter().any(|policy| policy.gap(facts).is_none()) {
        return None;
    }
    permissive.iter().find_map(|policy| policy.gap(facts))
}
