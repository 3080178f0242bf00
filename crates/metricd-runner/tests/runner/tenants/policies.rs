//! Which policies isolate tenants.

use anyhow::{Context, Result};
use metricd_execution::{MetricRunner, Relation};
use metricd_runner::{PgRunner, RunnerConfig};

use super::databases;

#[tokio::test]
async fn relations_are_secured_if_every_policy_requires_the_tenant() -> Result<()> {
    const SECURED: &str = "ALTER TABLE {} ENABLE ROW LEVEL SECURITY; CREATE POLICY of_tenant ON {} FOR SELECT
                           USING (tenant = (SELECT tenancy.current_tenant()));";
    let [database, _] = databases().await?;
    let client = database.connect().await?;
    let table = |name: &str| format!("CREATE TABLE {name} (tenant text);");
    let secured = |name: &str| table(name) + &SECURED.replace("{}", name);
    let made = [
        table("warehouse.a_plain"),
        secured("warehouse.b_secured"),
        table("warehouse.c_without_policy") + "ALTER TABLE warehouse.c_without_policy ENABLE ROW LEVEL SECURITY;",
        secured("warehouse.d_lax") + "CREATE POLICY lax ON warehouse.d_lax TO metricd_reader USING (true);",
        secured("warehouse.e_other_role") + "CREATE POLICY lax ON warehouse.e_other_role TO metricd USING (true);",
        secured("warehouse.f_for_writing") + "CREATE POLICY lax ON warehouse.f_for_writing FOR UPDATE USING (true);",
        table("warehouse.g_restrictive")
            + "ALTER TABLE warehouse.g_restrictive ENABLE ROW LEVEL SECURITY;
               CREATE POLICY lax ON warehouse.g_restrictive USING (true);
               CREATE POLICY strict ON warehouse.g_restrictive AS RESTRICTIVE USING (tenant = tenancy.current_tenant());",
        secured("warehouse.h_owned") + "ALTER TABLE warehouse.h_owned OWNER TO metricd_reader;",
        secured("warehouse.i_forced")
            + "ALTER TABLE warehouse.i_forced FORCE ROW LEVEL SECURITY, OWNER TO metricd_reader;",
        "CREATE VIEW warehouse.j_view AS SELECT 1 AS one;".to_owned(),
        "CREATE VIEW warehouse.k_invoker WITH (security_invoker) AS SELECT 1 AS one;".to_owned(),
        "CREATE MATERIALIZED VIEW warehouse.l_kept AS SELECT 1 AS one;".to_owned(),
        "CREATE TABLE warehouse.m_parted (tenant text) PARTITION BY LIST (tenant);
         CREATE TABLE warehouse.n_part PARTITION OF warehouse.m_parted DEFAULT;"
            .to_owned()
            + &SECURED.replace("{}", "warehouse.m_parted"),
        table("warehouse.o_hidden") + "REVOKE SELECT ON warehouse.o_hidden FROM metricd_reader;",
        "CREATE SCHEMA staging;".to_owned() + &table("staging.p_raw") + &table("staging.q_hidden"),
        "GRANT SELECT ON staging.p_raw TO metricd_reader;".to_owned(),
        "CREATE FUNCTION staging.r_definer() RETURNS integer LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';".to_owned(),
        table("warehouse.t_checks_only")
            + "ALTER TABLE warehouse.t_checks_only ENABLE ROW LEVEL SECURITY;
               CREATE POLICY lax ON warehouse.t_checks_only
               USING (true) WITH CHECK (tenant = tenancy.current_tenant());",
        table("warehouse.u_checks_restrictively")
            + "ALTER TABLE warehouse.u_checks_restrictively ENABLE ROW LEVEL SECURITY;
               CREATE POLICY lax ON warehouse.u_checks_restrictively USING (true);
               CREATE POLICY strict ON warehouse.u_checks_restrictively AS RESTRICTIVE
               USING (true) WITH CHECK (tenant = tenancy.current_tenant());",
        table("warehouse.v_without_using")
            + "ALTER TABLE warehouse.v_without_using ENABLE ROW LEVEL SECURITY;
               CREATE POLICY of_tenant ON warehouse.v_without_using
               USING (tenant = (SELECT tenancy.current_tenant()));
               CREATE POLICY none ON warehouse.v_without_using WITH CHECK (true);",
        "CREATE FUNCTION staging.s_invoker() RETURNS integer LANGUAGE sql AS 'SELECT 1';".to_owned(),
    ];
    client.batch_execute(&made.concat()).await?;
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let (secured, open): (Vec<_>, Vec<_>) = runner.relations().await?.into_iter().partition(|one| one.gap.is_none());
    let names = |relations: Vec<Relation>| relations.into_iter().map(|one| one.qualified_name()).collect::<Vec<_>>();
    let expected_open = [
        "staging.p_raw",
        "staging.r_definer()",
        "warehouse.a_plain",
        "warehouse.d_lax",
        "warehouse.h_owned",
        "warehouse.j_view",
        "warehouse.l_kept",
        "warehouse.metrics",
        "warehouse.n_part",
        "warehouse.t_checks_only",
        "warehouse.u_checks_restrictively",
    ];
    assert_eq!(names(open), expected_open);
    let expected = [
        "warehouse.b_secured",
        "warehouse.c_without_policy",
        "warehouse.e_other_role",
        "warehouse.f_for_writing",
        "warehouse.g_restrictive",
        "warehouse.i_forced",
        "warehouse.k_invoker",
        "warehouse.m_parted",
        "warehouse.notes",
        "warehouse.orders",
        "warehouse.v_without_using",
    ];
    assert_eq!(names(secured), expected);
    Ok(())
}

/// Conditions of policies, each with a part of the message if the policy may show rows of other tenants.
const CONDITIONS: &[(&str, Option<&str>)] = &[
    ("tenant = tenancy.current_tenant()", None),
    ("tenant = (SELECT tenancy.current_tenant())", None),
    ("(SELECT tenancy.current_tenant()) = tenant", None),
    ("tenancy.current_tenant() = tenant", None),
    ("is_public AND tenant = tenancy.current_tenant() AND number > 3", None),
    ("(tenant = (SELECT tenancy.current_tenant()) AND number > 3) AND (is_public OR number = 5)", None),
    ("short = (SELECT tenancy.current_tenant())", None),
    ("padded = (SELECT tenancy.current_tenant())", None),
    ("named = tenancy.current_tenant()", None),
    ("in_domain = tenancy.current_tenant()", None),
    ("number = tenancy.current_tenant()::integer", None),
    ("large = (SELECT tenancy.current_tenant())::integer", None),
    ("number::text = (SELECT tenancy.current_tenant())", None),
    ("id = (SELECT tenancy.current_tenant()::uuid)", None),
    ("id = (SELECT tenancy.current_tenant())::uuid", None),
    ("tenant COLLATE \"C\" = tenancy.current_tenant()", None),
    ("true", Some("does not restrict each row to the tenant: `USING true`")),
    ("is_public", Some("does not restrict each row to the tenant: `USING is_public`")),
    (
        "true OR tenant = tenancy.current_tenant()",
        Some("shows what either side of an OR lets through: `USING (true OR ("),
    ),
    (
        "tenant = tenancy.current_tenant() OR is_public",
        Some(
            "shows what either side of an OR lets through: `USING ((tenant = tenancy.current_tenant()) OR is_public)`",
        ),
    ),
    ("is_public AND (tenant = tenancy.current_tenant() OR number = 1)", Some("does not restrict")),
    ("NOT (tenant = tenancy.current_tenant())", Some("does not restrict")),
    ("tenant <> tenancy.current_tenant()", Some("does not restrict")),
    ("tenant >= tenancy.current_tenant()", Some("does not restrict")),
    ("tenant LIKE tenancy.current_tenant()", Some("does not restrict")),
    ("tenancy.current_tenant() = tenancy.current_tenant()", Some("does not restrict")),
    ("tenancy.current_tenant() IS NOT NULL", Some("does not restrict")),
    ("tenant = coalesce(tenancy.current_tenant(), tenant)", Some("does not restrict")),
    ("tenant = (SELECT tenancy.current_tenant() UNION ALL SELECT 'other' LIMIT 1)", Some("does not restrict")),
    ("left(tenant, 1) = left(tenancy.current_tenant(), 1)", Some("does not restrict")),
    ("tenant::varchar(1) = tenancy.current_tenant()::varchar(1)", Some("does not restrict")),
    ("tenant::char(1) = tenancy.current_tenant()::char(1)", Some("does not restrict")),
    ("is_public = tenancy.current_tenant()::boolean", Some("does not restrict")),
    ("tenant COLLATE alike = tenancy.current_tenant()", Some("does not restrict")),
    ("in_alike = tenancy.current_tenant()", Some("does not restrict")),
    ("tenant OPERATOR(warehouse.=) tenancy.current_tenant()", Some("does not restrict")),
    ("(tenant = tenancy.current_tenant()) IS NOT FALSE", Some("does not restrict")),
    ("CASE WHEN is_public THEN true ELSE tenant = tenancy.current_tenant() END", Some("does not restrict")),
    // The policies of the other table are not followed.
    ("number IN (SELECT number FROM warehouse.orders)", Some("does not restrict")),
];

#[tokio::test]
async fn a_policy_counts_by_its_form() -> Result<()> {
    let [database, _] = databases().await?;
    let client = database.connect().await?;
    client
        .batch_execute(
            "CREATE COLLATION warehouse.alike (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE DOMAIN warehouse.tenant_name AS text;
             CREATE FUNCTION warehouse.any_two(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
             CREATE OPERATOR warehouse.= (LEFTARG = text, RIGHTARG = text, FUNCTION = warehouse.any_two);
             SET search_path = warehouse",
        )
        .await?;
    for (number, (condition, _)) in CONDITIONS.iter().enumerate() {
        let table = format!("t{number:02}");
        client
            .batch_execute(&format!(
                "CREATE TABLE {table} (is_public boolean, tenant text, number integer, large bigint, id uuid,
                     short varchar(20), padded char(20), named name, in_domain tenant_name, in_alike text COLLATE alike);
                 ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
                 CREATE POLICY of_tenant ON {table} USING ({condition})"
            ))
            .await
            .context(*condition)?;
    }
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let relations = runner.relations().await?;
    for (number, (condition, expected)) in CONDITIONS.iter().enumerate() {
        let relation = relations.iter().find(|one| one.name == format!("t{number:02}")).context(*condition)?;
        match (expected, &relation.gap) {
            (None, gap) => assert_eq!(*gap, None, "{condition}"),
            (Some(expected), Some(gap)) => {
                assert!(gap.starts_with("the policy `of_tenant` ") && gap.contains(expected), "{condition}: {gap}");
            }
            (Some(_), None) => panic!("{condition}: it counts"),
        }
    }
    Ok(())
}

/// Each permissive policy adds rows; a restrictive one limits all of them.
#[tokio::test]
async fn restrictive_policies_hold_for_all_others() -> Result<()> {
    const OF_TENANT: &str = "tenant = (SELECT tenancy.current_tenant())";
    let [database, _] = databases().await?;
    let client = database.connect().await?;
    let cases: &[(&[(&str, &str)], bool)] = &[
        (&[("PERMISSIVE", OF_TENANT), ("PERMISSIVE", "tenant = 'x' AND tenant = tenancy.current_tenant()")], true),
        (&[("PERMISSIVE", OF_TENANT), ("PERMISSIVE", "tenant = 'shared'")], false),
        (&[("PERMISSIVE", "true"), ("RESTRICTIVE", OF_TENANT)], true),
        (&[("PERMISSIVE", "true"), ("RESTRICTIVE", "true"), ("RESTRICTIVE", OF_TENANT)], true),
        (&[("PERMISSIVE", "true"), ("RESTRICTIVE", "tenant = tenancy.current_tenant() OR tenant = 'shared'")], false),
        (&[("RESTRICTIVE", "true")], true),
        (&[], true),
    ];
    for (number, (policies, _)) in cases.iter().enumerate() {
        let table = format!("warehouse.r{number}");
        let made = format!("CREATE TABLE {table} (tenant text); ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;");
        client.batch_execute(&made).await?;
        for (index, (kind, condition)) in policies.iter().enumerate() {
            let policy = format!("CREATE POLICY p{index} ON {table} AS {kind} USING ({condition})");
            client.batch_execute(&policy).await?;
        }
    }
    let runner = PgRunner::new(&database.reader, RunnerConfig::default())?;
    let relations = runner.relations().await?;
    for (number, (policies, is_secured)) in cases.iter().enumerate() {
        let relation = relations.iter().find(|one| one.name == format!("r{number}")).context("a relation")?;
        assert_eq!(relation.gap.is_none(), *is_secured, "{policies:?}: {:?}", relation.gap);
    }
    Ok(())
}
