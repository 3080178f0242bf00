//! Reads who has which privilege from PostgreSQL's catalogs.

use diesel::sql_types::{Array, Bool, Nullable, Text};
use diesel::{PgConnection, QueryResult, QueryableByName, RunQueryDsl, sql_query};

use metricd_database::{UNKNOWN_CLASS, harm_classes, harmless_functions};

/// A privilege of PUBLIC to be revoked, or a revoked one to be granted again.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Right {
    /// The name of the class of harm; `temporary` for temporary tables.
    #[diesel(sql_type = Text)]
    pub class: String,
    /// `EXECUTE` or `TEMPORARY`.
    #[diesel(sql_type = Text)]
    pub privilege: String,
    /// The function with the types of its arguments, or the word `database`.
    #[diesel(sql_type = Text)]
    pub object: String,
    /// The role that is granted the right by name when PUBLIC loses it, and loses that grant when PUBLIC gets it back.
    #[diesel(sql_type = Nullable<Text>)]
    pub keeper: Option<String>,
    /// The roles that may log in to this database and have the right by PUBLIC only.
    #[diesel(sql_type = Array<Text>)]
    pub losers: Vec<String>,
    /// Whether the role that asks may change who has the right.
    #[diesel(sql_type = Bool)]
    pub(super) is_permitted: bool,
}

/// The functions of this server that are listed or unknown, and the database, with the roles that have each privilege. A
/// function with unchanged privileges has no ACL; `acldefault` gives its defaults.
///
/// A function is unknown if it is built in, volatile, executable by PUBLIC in a new database, and on no list. SQL cannot
/// call functions of triggers and those with internal arguments, and those of `pg_upgrade` refuse outside of it.
const GRANTED: &str = "
    WITH listed AS (
        SELECT position, class, entry FROM unnest($1, $2) WITH ORDINALITY AS listed (class, entry, position)
    ), classified AS (
        SELECT position, class, pg_proc.* FROM listed JOIN pg_catalog.pg_proc ON proname = split_part(entry, '(', 1)
        WHERE pronamespace = 'pg_catalog'::regnamespace
        AND entry IN (proname::text, format('%s(%s)', proname, oidvectortypes(proargtypes)))
        UNION ALL SELECT cardinality($1) + 1, $3, pg_proc.* FROM pg_catalog.pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND oid < 16384 AND provolatile = 'v' AND proname <> ALL ($4)
        AND NOT EXISTS (
            SELECT FROM listed WHERE entry IN (proname::text, format('%s(%s)', proname, oidvectortypes(proargtypes)))
        )
        AND prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
        AND 'internal'::regtype <> ALL (proargtypes) AND proname !~ '^binary_upgrade_'
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_init_privs WHERE classoid = 'pg_proc'::regclass AND objoid = pg_proc.oid)
    ), granted AS (
        SELECT position, class, 'EXECUTE' AS privilege, proowner AS owner,
            format('pg_catalog.%I(%s)', proname, oidvectortypes(proargtypes)) AS object,
            coalesce(proacl, acldefault('f', proowner)) AS acl
        FROM classified
        UNION ALL SELECT 0, 'temporary', 'TEMPORARY', datdba, 'database', coalesce(datacl, acldefault('d', datdba))
        FROM pg_catalog.pg_database WHERE datname = current_database()
    ), open AS (
        SELECT * FROM granted WHERE EXISTS (
            SELECT FROM aclexplode(acl) AS grants WHERE grants.grantee = 0 AND grants.privilege_type = granted.privilege
        )
    ), keeper AS (
        -- Who owns the schema, not who asks: that may be a superuser for this once.
        SELECT oid, rolname, rolsuper FROM pg_catalog.pg_roles
        WHERE oid = coalesce((SELECT nspowner FROM pg_namespace WHERE nspname = 'catalog'), current_user::regrole)
    )";

fn bound<T>(query: &str, connection: &mut PgConnection) -> QueryResult<Vec<T>>
where
    T: QueryableByName<diesel::pg::Pg> + 'static,
{
    let listed = harm_classes().iter().flat_map(|class| class.functions.iter().map(|entry| (class.name, *entry)));
    let (classes, entries): (Vec<_>, Vec<_>) = listed.unzip();
    sql_query(format!("{GRANTED} {query}"))
        .bind::<Array<Text>, _>(classes)
        .bind::<Array<Text>, _>(entries)
        .bind::<Text, _>(UNKNOWN_CLASS)
        .bind::<Array<Text>, _>(harmless_functions().collect::<Vec<_>>())
        .load(connection)
}

/// Whether PUBLIC has any of the privileges.
pub(super) fn any_open(connection: &mut PgConnection) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Answer {
        #[diesel(sql_type = Bool)]
        answer: bool,
    }
    let answers: Vec<Answer> = bound("SELECT EXISTS (SELECT FROM open) AS answer", connection)?;
    Ok(answers.iter().any(|answer| answer.answer))
}

/// The functions on no list, also those that PUBLIC can no longer execute.
pub(super) fn unknown(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Function {
        #[diesel(sql_type = Text)]
        object: String,
    }
    let functions: Vec<Function> = bound("SELECT object FROM granted WHERE class = $3 ORDER BY object", connection)?;
    Ok(functions.into_iter().map(|function| function.object).collect())
}

/// The privileges of PUBLIC.
pub(super) fn open(connection: &mut PgConnection) -> QueryResult<Vec<Right>> {
    let query = "
        SELECT class, privilege, object, pg_has_role(current_user, owner, 'USAGE') AS is_permitted,
            CASE WHEN NOT keeper.rolsuper AND NOT EXISTS (
                SELECT FROM aclexplode(acl) AS grants WHERE grants.grantee <> 0
                AND grants.privilege_type = open.privilege AND pg_has_role(keeper.oid, grants.grantee, 'USAGE')
            ) THEN keeper.rolname::text END AS keeper,
            ARRAY(
                SELECT roles.rolname::text FROM pg_catalog.pg_roles AS roles
                WHERE roles.rolcanlogin AND NOT roles.rolsuper AND roles.oid <> keeper.oid
                AND has_database_privilege(roles.oid, current_database(), 'CONNECT') AND NOT EXISTS (
                    SELECT FROM aclexplode(acl) AS grants WHERE grants.grantee <> 0
                    AND grants.privilege_type = open.privilege AND pg_has_role(roles.oid, grants.grantee, 'USAGE')
                ) ORDER BY 1
            ) AS losers
        FROM open, keeper ORDER BY position, object";
    bound(query, connection)
}

/// The privileges of PUBLIC, in a database in which nobody keeps one by name.
pub(super) fn open_elsewhere(connection: &mut PgConnection) -> QueryResult<Vec<Right>> {
    let query = "
        SELECT class, privilege, object, false AS is_permitted, NULL::text AS keeper, '{}'::text[] AS losers
        FROM open ORDER BY position, object";
    bound(query, connection)
}

/// The revoked privileges, without those whose object is gone.
pub(super) fn taken(connection: &mut PgConnection) -> QueryResult<Vec<Right>> {
    let query = "
        SELECT coalesce(class, 'formerly listed') AS class, taken.privilege, taken.object, '{}'::text[] AS losers,
            pg_has_role(current_user, coalesce(proowner, datdba), 'USAGE') AS is_permitted,
            (SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = taken.granted_to) AS keeper
        FROM catalog.taken_rights AS taken
        JOIN pg_catalog.pg_database ON datname = current_database()
        LEFT JOIN pg_catalog.pg_proc
            ON pg_proc.oid = CASE taken.privilege WHEN 'EXECUTE' THEN to_regprocedure(taken.object) END
        LEFT JOIN granted ON granted.object = taken.object
        WHERE taken.privilege = 'TEMPORARY' OR pg_proc.oid IS NOT NULL
        ORDER BY position, taken.object";
    bound(query, connection)
}

/// The classes of privileges of the current role, through PUBLIC or otherwise.
pub(super) fn open_classes(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Class {
        #[diesel(sql_type = Text)]
        class: String,
    }
    let query = "
        SELECT class FROM granted WHERE EXISTS (
            SELECT FROM aclexplode(acl) AS grants WHERE grants.privilege_type = granted.privilege
            AND CASE WHEN grants.grantee = 0 THEN true ELSE pg_has_role(current_user, grants.grantee, 'USAGE') END
        ) GROUP BY class ORDER BY min(position)";
    let classes: Vec<Class> = bound(query, connection)?;
    Ok(classes.into_iter().map(|class| class.class).collect())
}
