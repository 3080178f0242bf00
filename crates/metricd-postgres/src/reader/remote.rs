//! What an operator wants to know about servers that have some of the rows: those of `postgres_fdw`, and workers of Citus.

use diesel::sql_types::{Array, Bool, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};
use metricd_database::quote_identifier;

/// Does not depend on which tables are distributed: every table may be one day.
const CITUS: &str = "the database has Citus: the rows of a result may be of several snapshots, SQL runs again for each \
    conditional request, and tenants are refused; see docs/scale.md";

/// What other servers lack or change, one sentence each.
pub(super) fn remote_notices(connection: &mut PgConnection, role: &str) -> QueryResult<Vec<String>> {
    let servers = sql_query(include_str!("remote.sql")).bind::<Text, _>(role).load::<ForeignServer>(connection)?;
    let citus = sql_query("SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') AS answer");
    let citus = citus.get_result::<Answer>(connection)?.answer.then(|| CITUS.to_owned());
    Ok(servers.iter().flat_map(|server| server.sentences(role)).chain(citus).collect())
}

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Bool)]
    answer: bool,
}

/// A server of `postgres_fdw`.
#[derive(QueryableByName)]
struct ForeignServer {
    #[diesel(sql_type = Text)]
    name: String,
    /// Whether the reader, or everybody, has a user mapping.
    #[diesel(sql_type = Bool)]
    is_mapped: bool,
    /// The options that it lacks, as `ALTER SERVER` takes them.
    #[diesel(sql_type = Array<Text>)]
    lacking: Vec<String>,
}

impl ForeignServer {
    fn sentences(&self, role: &str) -> impl Iterator<Item = String> {
        let Self { name, is_mapped, lacking } = self;
        let (server, quoted) = (quote_identifier(name), quote_identifier(role));
        let unmapped = (!is_mapped).then(|| {
            format!(
                "the reader `{role}` has no user mapping for the foreign server `{name}`, so metrics over its tables fail: \
                 run CREATE USER MAPPING FOR {quoted} SERVER {server} OPTIONS (user '…', password '…')"
            )
        });
        let lacking = (!lacking.is_empty()).then(|| {
            format!(
                "the foreign server `{name}` lacks options without which metricd's limits do not hold there, or its tables \
                 are slow: run ALTER SERVER {server} OPTIONS ({}); see docs/scale.md",
                lacking.join(", ")
            )
        });
        unmapped.into_iter().chain(lacking)
    }
}
