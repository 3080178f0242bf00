//! What `migrate` grants in schemas that are not metricd's own.

use anyhow::{Context, Result};
use metricd_database::{DataSchemas, DatabaseUrl};
use metricd_postgres::{
    ReaderError, ReaderLimits, check_candidate, check_data_schemas, check_reader, prepare_reader, reader_notices,
    schemas_besides,
};
use metricd_test_support::{READER, TestDatabase};
use tokio::task::spawn_blocking;
use tokio_postgres::Client;

/// A database with the schema `shop`, which belongs to a role `seller`, and a reader that does not exist yet. Roles belong
/// to the whole server, so their names contain that of the database.
struct Shop {
    database: TestDatabase,
    client: Client,
    owner: DatabaseUrl,
    reader: DatabaseUrl,
    seller: String,
}

impl Shop {
    async fn open() -> Result<Self> {
        let database = TestDatabase::unhardened().await?;
        let client = database.connect().await?;
        let name = database.owner.database();
        let seller = format!("seller_{name}");
        client
            .batch_execute(&format!(
                "CREATE ROLE {seller}; CREATE SCHEMA shop AUTHORIZATION {seller}; SET ROLE {seller};
                 CREATE TABLE shop.orders (id integer, amount integer); CREATE TABLE shop.secrets (id integer); RESET ROLE"
            ))
            .await?;
        let port: String = client.query_one("SHOW port", &[]).await?.get(0);
        let reader = DatabaseUrl::parse(format!("postgres://shop_{name}:pw@127.0.0.1:{port}/{name}"))?;
        Ok(Self { owner: database.owner.clone(), database, client, reader, seller })
    }

    /// Replaces the owner, a superuser, by a role that owns metricd's schemas and nothing else.
    async fn with_weak_owner(mut self) -> Result<Self> {
        let name = self.database.owner.database();
        let owner = format!("owner_{name}");
        self.client
            .batch_execute(&format!(
                "CREATE ROLE {owner} LOGIN CREATEROLE PASSWORD 'pw';
                 ALTER SCHEMA catalog OWNER TO {owner}; ALTER SCHEMA tenancy OWNER TO {owner};
                 ALTER SCHEMA warehouse OWNER TO {owner}; ALTER TABLE warehouse.metrics OWNER TO {owner};
                 GRANT CONNECT ON DATABASE {name} TO {owner} WITH GRANT OPTION"
            ))
            .await?;
        for query in [
            "SELECT 'TABLE ' || oid::regclass::text FROM pg_class
             WHERE relnamespace = 'catalog'::regnamespace AND relkind = 'r'",
            "SELECT 'FUNCTION ' || oid::regprocedure::text FROM pg_proc
             WHERE pronamespace IN ('catalog'::regnamespace, 'tenancy'::regnamespace)",
        ] {
            for row in self.client.query(query, &[]).await? {
                let object: &str = row.get(0);
                self.client.batch_execute(&format!("ALTER {object} OWNER TO {owner}")).await?;
            }
        }
        let port: String = self.client.query_one("SHOW port", &[]).await?.get(0);
        self.owner = DatabaseUrl::parse(format!("postgres://{owner}:pw@127.0.0.1:{port}/{name}"))?;
        Ok(self)
    }

    async fn prepare(&self, schemas: &[&str]) -> Result<Result<(), ReaderError>> {
        let schemas = of(schemas)?;
        let (owner, reader) = (self.owner.clone(), self.reader.clone());
        Ok(spawn_blocking(move || {
            prepare_reader(&owner, &reader, &schemas, ReaderLimits::default())?;
            check_reader(&reader, &schemas)
        })
        .await?)
    }

    /// The SQL for an administrator in the error of a refused preparation.
    async fn script(&self, schemas: &[&str]) -> Result<String> {
        let error = self.prepare(schemas).await?.err().context("the owner may not grant this")?.to_string();
        let (_, script) = error.split_once("Have an administrator run: ").context(error.clone())?;
        Ok(script.to_owned())
    }

    async fn may_read(&self, table: &str) -> Result<bool> {
        let query = "SELECT has_table_privilege($1, $2::text, 'SELECT')";
        Ok(self.client.query_one(query, &[&self.reader.user(), &table]).await?.get(0))
    }

    async fn as_seller(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(&format!("SET ROLE {}; {sql}; RESET ROLE", self.seller)).await?)
    }

    /// Runs SQL in which `reader` stands for the name of the role.
    async fn run(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(&sql.replace(" reader", &format!(" {}", self.reader.user()))).await?)
    }
}

fn of(names: &[&str]) -> Result<DataSchemas> {
    Ok(DataSchemas::new(names.iter().map(|name| (*name).to_owned()))?)
}

#[tokio::test]
async fn a_schema_of_the_operators_is_opened_once_and_then_left_as_it_is() -> Result<()> {
    let shop = Shop::open().await?;
    let missing = shop.prepare(&["shops"]).await?.err().context("there is no such schema")?.to_string();
    assert!(missing.contains("no schema `shops`: the database has `public`, `shop`, `warehouse`"), "{missing}");

    shop.prepare(&["shop"]).await??;
    shop.as_seller("CREATE TABLE shop.returns (id integer)").await?;
    for table in ["shop.orders", "shop.secrets", "shop.returns"] {
        assert!(shop.may_read(table).await?, "{table}");
    }
    assert!(!shop.may_read("warehouse.metrics").await?);

    // What the operator has revoked stays revoked: a table, the tables that come later, and the last table.
    shop.run("REVOKE SELECT ON shop.secrets FROM reader").await?;
    shop.as_seller(&format!(
        "ALTER DEFAULT PRIVILEGES IN SCHEMA shop REVOKE SELECT ON TABLES FROM {}",
        shop.reader.user()
    ))
    .await?;
    shop.prepare(&["shop"]).await??;
    shop.as_seller("CREATE TABLE shop.later (id integer)").await?;
    for table in ["shop.secrets", "shop.later"] {
        assert!(!shop.may_read(table).await?, "{table}");
    }
    shop.run("REVOKE SELECT ON ALL TABLES IN SCHEMA shop FROM reader").await?;
    shop.prepare(&["shop"]).await??;
    assert!(!shop.may_read("shop.orders").await?);
    Ok(())
}

#[tokio::test]
async fn a_reader_that_may_read_single_columns_gets_no_more() -> Result<()> {
    let shop = Shop::open().await?;
    shop.run("CREATE ROLE reader LOGIN PASSWORD 'pw'; GRANT SELECT (id) ON shop.orders TO reader").await?;
    shop.prepare(&["shop"]).await??;
    assert!(!shop.may_read("shop.orders").await? && !shop.may_read("shop.secrets").await?);
    Ok(())
}

#[tokio::test]
async fn another_list_is_refused_and_named() -> Result<()> {
    let shop = Shop::open().await?;
    // The common reader of the tests.
    shop.client.batch_execute(&format!("REVOKE USAGE ON SCHEMA tenancy FROM {READER}")).await?;
    shop.prepare(&["shop"]).await??;
    let (owner, reader) = (shop.owner.clone(), shop.reader.clone());
    spawn_blocking(move || {
        let (same, other, unknown) = (of(&["shop"])?, of(&["shop", "public"])?, of(&["slaes"])?);
        for role in [None, Some(reader.user())] {
            check_data_schemas(&owner, role, &same)?;
            for error in [check_data_schemas(&owner, role, &other), check_reader(&reader, &other)] {
                let error = error.err().context("the reader has one schema")?.to_string();
                let expected = "reads the schemas `shop`, and this command expects the schemas `shop`, `public`: give every \
                                command the same --data-schema";
                assert!(error.contains(expected) && !error.contains("migrate"), "{error}");
            }
            let error = check_data_schemas(&owner, role, &unknown).err().context("no such schema")?.to_string();
            assert!(error.contains("no schema `slaes`: the database has `public`, `shop`, `warehouse`"), "{error}");
        }
        check_data_schemas(&owner, Some("somebody"), &other)?;
        // Before the first migration only metricd's own schema may be missing.
        check_candidate(&owner, &reader, &DataSchemas::default())?;
        let error = check_candidate(&owner, &reader, &unknown).err().context("no such schema")?.to_string();
        assert!(error.contains("no schema `slaes`"), "{error}");
        anyhow::Ok(())
    })
    .await??;
    shop.prepare(&["shop", "public"]).await??;
    Ok(())
}

#[tokio::test]
async fn an_owner_who_may_not_grant_says_what_an_administrator_has_to_run() -> Result<()> {
    let shop = Shop::open().await?.with_weak_owner().await?;
    let script = shop.script(&["shop"]).await?;
    let role = shop.reader.user();
    for part in [
        format!("CREATE ROLE \"{role}\" "),
        format!(
            "ALTER DEFAULT PRIVILEGES FOR ROLE \"{}\" IN SCHEMA \"shop\" GRANT SELECT ON TABLES TO \"{role}\"",
            shop.seller
        ),
    ] {
        assert!(script.contains(&part), "{part}: {script}");
    }
    let roles = "SELECT count(*) FROM pg_roles WHERE rolname = $1";
    assert_eq!(shop.client.query_one(roles, &[&role]).await?.get::<_, i64>(0), 0, "nothing is changed");
    shop.client.batch_execute(&script.replace('…', "pw")).await?;
    shop.prepare(&["shop"]).await??;
    assert!(shop.may_read("shop.secrets").await?);

    // The next script has no more than what the next schema needs.
    shop.run("REVOKE SELECT ON shop.secrets FROM reader; CREATE SCHEMA more; CREATE TABLE more.items (id integer)")
        .await?;
    let script = shop.script(&["shop", "more"]).await?;
    for part in ["CREATE ROLE", "IN SCHEMA \"shop\""] {
        assert!(!script.contains(part), "{part}: {script}");
    }
    shop.client.batch_execute(&script).await?;
    shop.prepare(&["shop", "more"]).await??;
    assert!(shop.may_read("more.items").await? && !shop.may_read("shop.secrets").await?);
    Ok(())
}

/// In PostgreSQL, a GRANT of a privilege that the grantor has without the grant option is only a warning.
#[tokio::test]
async fn a_grant_that_grants_nothing_changes_nothing() -> Result<()> {
    let shop = Shop::open().await?.with_weak_owner().await?;
    shop.run("CREATE ROLE reader LOGIN PASSWORD 'pw'").await?;
    shop.client
        .batch_execute(&format!(
            // Since PostgreSQL 16, the owner alters a role that it did not create only with this option.
            "GRANT \"{0}\" TO {1} WITH ADMIN OPTION; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {1}; GRANT USAGE ON SCHEMA shop TO PUBLIC",
            shop.reader.user(),
            shop.owner.user()
        ))
        .await?;
    let settings = "SELECT coalesce(rolconfig::text, '') FROM pg_roles WHERE rolname = $1";
    let error = shop.prepare(&["shop"]).await?.err().context("nothing was granted")?.to_string();
    assert!(error.contains("may not read `shop.orders`"), "{error}");
    let found: String = shop.client.query_one(settings, &[&shop.reader.user()]).await?.get(0);
    assert_eq!(found, "", "the settings of the role are left as they were");
    let script = shop.script(&["shop"]).await?;
    assert!(!script.contains("CREATE ROLE"), "{script}");
    shop.client.batch_execute(&script).await?;
    shop.prepare(&["shop"]).await??;
    assert!(shop.may_read("shop.orders").await?);
    Ok(())
}

/// Only a member of a role may set its default privileges, and the reader can be used without them.
#[tokio::test]
async fn an_owner_with_grant_options_opens_what_there_is() -> Result<()> {
    let shop = Shop::open().await?.with_weak_owner().await?;
    let owner = shop.owner.user();
    shop.client
        .batch_execute(&format!(
            "GRANT USAGE ON SCHEMA shop TO {owner} WITH GRANT OPTION;
             GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {owner} WITH GRANT OPTION"
        ))
        .await?;
    shop.prepare(&["shop"]).await??;
    shop.as_seller("CREATE TABLE shop.later (id integer)").await?;
    assert!(shop.may_read("shop.orders").await? && !shop.may_read("shop.later").await?);
    Ok(())
}

/// Any role of an application may have transactions that are read-only and read one schema.
#[tokio::test]
async fn a_role_that_only_looks_like_a_reader_is_refused() -> Result<()> {
    let (shop, another) = (Shop::open().await?, TestDatabase::new().await?);
    let elsewhere = another.connect().await?;
    shop.run(
        "CREATE ROLE reader LOGIN PASSWORD 'pw'; ALTER ROLE reader SET default_transaction_read_only = on;
         ALTER ROLE reader SET search_path = shop",
    )
    .await?;
    let role = shop.reader.user();
    elsewhere.batch_execute(&format!("CREATE TABLE theirs (id integer); GRANT SELECT ON theirs TO {role}")).await?;
    let error = shop.prepare(&["shop"]).await?.err().context("it is in use")?.to_string();
    assert!(error.contains("it has rights in the database") && error.contains("COMMENT ON ROLE"), "{error}");
    // Somebody vouches for it.
    shop.run("COMMENT ON ROLE reader IS 'reader of metricd'").await?;
    shop.prepare(&["shop"]).await??;
    elsewhere.batch_execute("DROP TABLE theirs").await?;
    Ok(())
}

#[tokio::test]
async fn what_remains_of_a_schema_that_leaves_the_list_is_said_and_can_be_revoked() -> Result<()> {
    let shop = Shop::open().await?;
    let besides = async |schemas: &[&str]| -> Result<Vec<String>> {
        let (owner, role, schemas) = (shop.owner.clone(), shop.reader.user().to_owned(), of(schemas)?);
        Ok(spawn_blocking(move || schemas_besides(&owner, &role, &schemas)).await??)
    };
    shop.prepare(&["shop", "public"]).await??;
    assert_eq!(besides(&["shop", "public"]).await?, [] as [&str; 0]);
    shop.prepare(&["public"]).await??;
    let remaining = besides(&["public"]).await?;
    let [sentence] = remaining.as_slice() else { anyhow::bail!("{remaining:?}") };
    let (_, script) = sentence.split_once("to revoke them, run ").context(sentence.clone())?;
    assert!(script.contains("ALTER DEFAULT PRIVILEGES FOR ROLE"), "{script}");
    shop.client.batch_execute(script).await?;
    assert_eq!(besides(&["public"]).await?, [] as [&str; 0]);
    shop.as_seller("CREATE TABLE shop.returns (id integer)").await?;
    assert!(!shop.may_read("shop.orders").await? && !shop.may_read("shop.returns").await?);

    shop.as_seller("GRANT USAGE ON SCHEMA shop TO PUBLIC; GRANT SELECT (id) ON shop.orders TO PUBLIC").await?;
    let remaining = besides(&["public"]).await?;
    assert!(remaining.len() == 1 && remaining[0].contains("`shop`, which PUBLIC may read"), "{remaining:?}");
    Ok(())
}

#[tokio::test]
async fn what_metrics_see_less_of_than_the_owner_is_said() -> Result<()> {
    let shop = Shop::open().await?;
    let notices = async |schemas: &[&str]| -> Result<Vec<String>> {
        let (owner, role, schemas) = (shop.owner.clone(), shop.reader.user().to_owned(), of(schemas)?);
        Ok(spawn_blocking(move || reader_notices(&owner, &role, &schemas)).await??)
    };
    shop.prepare(&["shop"]).await??;
    assert_eq!(notices(&["shop"]).await?, [] as [&str; 0]);
    shop.run("REVOKE SELECT ON shop.secrets FROM reader; ALTER TABLE shop.orders ENABLE ROW LEVEL SECURITY").await?;
    let stored = "INSERT INTO catalog.tables (table_name, definition, changed_by)
                  VALUES ('sales', '{\"name\": \"sales\"}', '{\"way\": \"ingestion\"}')";
    shop.client.batch_execute(stored).await?;
    let found = notices(&["shop"]).await?;
    let [closed, empty, tables] = found.as_slice() else { anyhow::bail!("{found:?}") };
    assert!(closed.contains("may not read `secrets`: "), "{closed}");
    assert!(empty.contains("`orders` look empty"), "{empty}");
    assert!(tables.contains("in the schema `warehouse`: it is not one of the data schemas"), "{tables}");
    for sentence in [closed, empty] {
        let (_, sql) = sentence.split_once(", run ").context(sentence.clone())?;
        shop.client.batch_execute(sql).await?;
    }
    assert_eq!(notices(&["shop", "warehouse"]).await?.len(), 1, "warehouse is closed");
    assert_eq!(notices(&["shop"]).await?.len(), 1);
    Ok(())
}

/// What is said of a foreign server is the SQL that mends it.
#[tokio::test]
async fn what_other_servers_lack_is_said() -> Result<()> {
    let shop = Shop::open().await?;
    let notices = async || -> Result<Vec<String>> {
        let (owner, role, schemas) = (shop.owner.clone(), shop.reader.user().to_owned(), of(&["shop"])?);
        Ok(spawn_blocking(move || reader_notices(&owner, &role, &schemas)).await??)
    };
    let mend = async |sentence: &str| -> Result<()> {
        let (_, sql) = sentence.split_once("run ").context(sentence.to_owned())?;
        Ok(shop.client.batch_execute(sql.split("; see ").next().unwrap_or_default()).await?)
    };
    shop.prepare(&["shop"]).await??;
    shop.client
        .batch_execute(
            "CREATE EXTENSION postgres_fdw SCHEMA public; CREATE EXTENSION file_fdw SCHEMA public;
             CREATE SERVER unused FOREIGN DATA WRAPPER postgres_fdw;
             CREATE SERVER \"EU 1\" FOREIGN DATA WRAPPER postgres_fdw OPTIONS (use_remote_estimate 'false');
             CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
             CREATE TABLE shop.sales (id integer) PARTITION BY LIST (id);
             CREATE FOREIGN TABLE shop.sales_1 PARTITION OF shop.sales DEFAULT SERVER \"EU 1\";
             CREATE FOREIGN TABLE shop.hidden (id integer) SERVER unused;
             CREATE FOREIGN TABLE shop.log (line text) SERVER files OPTIONS (filename '/dev/null')",
        )
        .await?;
    shop.run("GRANT SELECT ON shop.sales, shop.log TO reader; REVOKE SELECT ON shop.hidden, shop.sales_1 FROM reader")
        .await?;
    let found = notices().await?;
    let [hidden, unmapped, lacking] = found.as_slice() else { anyhow::bail!("{found:?}") };
    assert!(hidden.contains("may not read `hidden`"), "{hidden}");
    assert!(unmapped.contains("no user mapping for the foreign server `EU 1`"), "{unmapped}");
    let options = "OPTIONS (SET use_remote_estimate 'true', ADD connect_timeout '2')";
    assert!(lacking.contains(options), "{lacking}");
    mend(unmapped).await?;
    mend(lacking).await?;
    assert_eq!(notices().await?.len(), 1, "{:?}", notices().await?);

    // Of several servers each is read while the others are.
    mend(hidden).await?;
    shop.client.batch_execute("CREATE USER MAPPING FOR PUBLIC SERVER unused").await?;
    let found = notices().await?;
    let [first, second] = found.as_slice() else { anyhow::bail!("{found:?}") };
    assert!(first.contains("OPTIONS (ADD async_capable 'true')"), "{first}");
    assert!(
        second.contains("ADD use_remote_estimate 'true', ADD connect_timeout '2', ADD async_capable 'true'"),
        "{second}"
    );
    mend(first).await?;
    mend(second).await?;
    assert_eq!(notices().await?, [] as [&str; 0]);

    // Only the name of the extension counts here.
    shop.client.batch_execute("UPDATE pg_extension SET extname = 'citus' WHERE extname = 'file_fdw'").await?;
    let found = notices().await?;
    assert!(found.len() == 1 && found[0].contains("the database has Citus"), "{found:?}");
    Ok(())
}

/// The check runs in a session of the reader, whose search path names the data schemas.
#[tokio::test]
async fn a_function_of_a_data_schema_is_not_called_by_the_check() -> Result<()> {
    let shop = Shop::open().await?;
    shop.prepare(&["shop"]).await??;
    // It fits the names of tables better than PostgreSQL's own one.
    shop.run(
        "CREATE FUNCTION shop.quote_ident(name) RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT 'called' $$;
         GRANT INSERT ON shop.orders TO reader",
    )
    .await?;
    let error = shop.prepare(&["shop"]).await?.err().context("it may write")?.to_string();
    assert!(error.contains("it may write `shop.orders`"), "{error}");
    Ok(())
}

/// The list is a setting of the role, which holds in every database.
#[tokio::test]
async fn a_reader_of_another_database_keeps_its_list() -> Result<()> {
    let (shop, another) = (Shop::open().await?, TestDatabase::new().await?);
    let elsewhere = another.connect().await?;
    shop.prepare(&["shop"]).await??;
    let role = shop.reader.user();
    elsewhere.batch_execute(&format!("CREATE TABLE theirs (id integer); GRANT SELECT ON theirs TO {role}")).await?;
    let error = shop.prepare(&["shop", "public"]).await?.err().context("the other list is in use")?.to_string();
    assert!(error.contains("it reads the schemas `shop` for metricd in the database"), "{error}");
    shop.prepare(&["shop"]).await??;
    elsewhere.batch_execute("DROP TABLE theirs").await?;
    shop.prepare(&["shop", "public"]).await??;
    Ok(())
}

#[tokio::test]
async fn limits_that_the_operator_has_chosen_stay() -> Result<()> {
    let shop = Shop::open().await?;
    shop.prepare(&["shop"]).await??;
    let role = shop.reader.user();
    let limits = "SELECT concat(rolconnlimit, ' ', array_to_string(rolconfig, ' ')) FROM pg_roles WHERE rolname = $1";
    for (change, kept) in [
        ("ALTER ROLE reader CONNECTION LIMIT 100; ALTER ROLE reader SET statement_timeout = '30s'", true),
        ("ALTER ROLE reader CONNECTION LIMIT -1", false),
        ("ALTER ROLE reader SET statement_timeout = 0", false),
        ("ALTER ROLE reader RESET default_transaction_read_only", false),
    ] {
        shop.run(change).await?;
        let before: String = shop.client.query_one(limits, &[&role]).await?.get(0);
        shop.prepare(&["shop"]).await??;
        let after: String = shop.client.query_one(limits, &[&role]).await?.get(0);
        assert_eq!(before == after, kept, "{change}: {before}, {after}");
    }
    // Another list changes nothing else.
    shop.run("ALTER ROLE reader CONNECTION LIMIT 70; ALTER ROLE reader SET statement_timeout = '20s'").await?;
    shop.prepare(&["shop", "public"]).await??;
    let after: String = shop.client.query_one(limits, &[&role]).await?.get(0);
    assert!(
        after.starts_with("70 ") && after.contains("statement_timeout=20s") && after.contains("shop, public"),
        "{after}"
    );
    Ok(())
}
