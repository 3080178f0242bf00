//! The options for the limits of one caller.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use clap::Args;
use metricd_access::Scope;
use metricd_api::QuotaRules;

use super::values::whole_number;

/// The limits of one caller.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Quotas")]
pub(crate) struct QuotaArguments {
    /// The request rate of a token's subject, per second; a burst may use one second's worth. 0 is unlimited.
    #[arg(long, env = "METRICD_REQUESTS_PER_SECOND", default_value_t = 1_000, value_name = "COUNT", value_parser = whole_number::<u32>(0..))]
    pub(crate) requests_per_second: u32,

    /// The rate, per second, of requests from one address (IPv6: one /64 network) that are refused for their tokens;
    /// further ones get 429. 0 is unlimited.
    #[arg(long, env = "METRICD_REFUSALS_PER_SECOND", default_value_t = 20, value_name = "COUNT", value_parser = whole_number::<u32>(0..))]
    pub(crate) refusals_per_second: u32,

    /// The number of concurrent requests of one subject, or of one address without tokens, that run SQL. Others wait up to
    /// a second. Half may be streams. A request counts until the database has stopped its statement [default: three
    /// quarters of --query-connections].
    #[arg(long, env = "METRICD_QUERIES_PER_SUBJECT", value_name = "COUNT", value_parser = whole_number::<NonZeroUsize>(NonZeroUsize::MIN..))]
    pub(crate) queries_per_subject: Option<NonZeroUsize>,

    /// The highest estimated cost for tokens of a scope, instead of --query-cost: `metrics:read=1000000`. The highest of a
    /// token's scopes applies; a metric's own limit applies as well. May be repeated, or separated by commas.
    #[arg(
        long = "scope-query-cost",
        env = "METRICD_SCOPE_QUERY_COSTS",
        value_name = "SCOPE=COST",
        value_delimiter = ','
    )]
    pub(crate) scope_query_costs: Vec<ScopeCost>,
}

/// The highest estimated cost for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScopeCost(Scope, u64);

impl FromStr for ScopeCost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (scope, cost) =
            text.split_once('=').ok_or("expected a scope, `=` and a cost, such as `metrics:read=1000000`")?;
        let scope = scope.parse().map_err(|error| format!("{error}"))?;
        let cost = cost.parse().ok().filter(|cost| *cost > 0);
        Ok(Self(scope, cost.ok_or("expected a cost that is a whole number of at least 1")?))
    }
}

impl QuotaArguments {
    /// Returns the rules for this number of connections.
    pub(crate) fn rules(&self, query_connections: u32) -> QuotaRules {
        let connections = usize::try_from(query_connections).unwrap_or(usize::MAX);
        QuotaRules {
            requests_per_second: NonZeroU32::new(self.requests_per_second),
            refusals_per_second: NonZeroU32::new(self.refusals_per_second),
            queries_per_subject: self
                .queries_per_subject
                .or_else(|| NonZeroUsize::new(connections - connections.div_ceil(4))),
            scope_query_costs: self.scope_query_costs.iter().map(|ScopeCost(scope, cost)| (*scope, *cost)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        quotas: QuotaArguments,
    }

    fn parse(arguments: &str) -> Result<QuotaArguments, String> {
        let parsed = Command::try_parse_from(format!("metricd {arguments}").split_whitespace());
        parsed.map(|command| command.quotas).map_err(|error| error.to_string())
    }

    #[test]
    fn one_subject_leaves_connections_to_others() {
        let permits = |connections| parse("").unwrap().rules(connections).queries_per_subject.map(NonZeroUsize::get);
        // A single connection cannot be shared, so there is no limit.
        assert_eq!([1, 2, 3, 4, 16, 50].map(permits), [None, Some(1), Some(2), Some(3), Some(12), Some(37)]);
        let set = parse("--queries-per-subject 16").unwrap().rules(16).queries_per_subject;
        assert_eq!(set.map(NonZeroUsize::get), Some(16));
    }

    #[test]
    fn costs_are_named_by_scope() {
        let parsed = parse("--scope-query-cost metrics:read=10,metrics:write=20 --requests-per-second 0").unwrap();
        let rules = parsed.rules(1);
        assert_eq!(rules.scope_query_costs, [(Scope::Read, 10), (Scope::Write, 20)].into());
        assert_eq!(rules.requests_per_second, None);
        for wrong in ["metrics:read", "metrics:all=1", "metrics:read=0", "metrics:read=-1", "metrics:read=", "=1"] {
            let error = parse(&format!("--scope-query-cost {wrong}")).unwrap_err();
            assert!(error.contains("expected"), "{wrong}: {error}");
        }
        assert!(parse("--queries-per-subject 0").is_err());
    }
}
