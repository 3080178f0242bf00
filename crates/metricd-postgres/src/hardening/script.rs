//! The statements that revoke privileges or grant them again.

use std::fmt::Write;

use metricd_database::quote_identifier;

use super::{Direction, LOCK, Right};

/// The statements for a superuser, as one transaction that checks its result.
pub(super) fn transaction(direction: Direction, rights: &[Right], database: &str) -> String {
    let statements = statements(direction, rights, database);
    let check = match direction {
        Direction::Take => CHECK,
        Direction::GiveBack => "",
    };
    format!("BEGIN;\n{LOCK};\n{statements}{check}COMMIT;\n")
}

/// The same for a database without a catalog: nothing is recorded.
pub(super) fn transaction_elsewhere(rights: &[Right], database: &str) -> String {
    let mut sql = String::from("BEGIN;\n");
    for right in rights {
        let _ = writeln!(sql, "REVOKE {} ON {} FROM PUBLIC;", right.privilege, object(right, database));
    }
    let still_open = rights.iter().map(|right| match right.privilege.as_str() {
        "EXECUTE" => format!("has_function_privilege('public', {}, 'EXECUTE')", literal(&right.object)),
        privilege => format!("has_database_privilege('public', {}, '{privilege}')", literal(database)),
    });
    let still_open = still_open.collect::<Vec<_>>().join("\n        OR ");
    // Also fails in another database than the one that the script was made for.
    let _ = write!(
        sql,
        "DO $$
BEGIN
    IF current_database() <> {} OR {still_open} THEN
        RAISE EXCEPTION 'PUBLIC still has some of these rights: expected a superuser to run this in the right database';
    END IF;
END
$$;
",
        literal(database)
    );
    sql + "COMMIT;\n"
}

/// A REVOKE without effect is only a warning in PostgreSQL, so the transaction checks its result.
const CHECK: &str = "DO $$
BEGIN
    IF EXISTS (
        SELECT FROM catalog.taken_rights
        WHERE CASE privilege
            WHEN 'EXECUTE' THEN has_function_privilege('public', to_regprocedure(object)::oid, 'EXECUTE')
            ELSE has_database_privilege('public', current_database(), 'TEMPORARY')
        END
    ) THEN
        RAISE EXCEPTION 'PUBLIC still has some of these rights: expected a superuser to run this';
    END IF;
END
$$;
";

pub(super) fn statements(direction: Direction, rights: &[Right], database: &str) -> String {
    let mut sql = String::new();
    for right in rights {
        let privilege = &right.privilege;
        let object = object(right, database);
        let keeper = right.keeper.as_deref().map(quote_identifier);
        // Writing to a string cannot fail.
        let _ = match direction {
            Direction::Take => take(&mut sql, right, &object, keeper.as_deref()),
            Direction::GiveBack => give_back(&mut sql, privilege, &object, keeper.as_deref()),
        };
    }
    if direction == Direction::GiveBack {
        sql += "DELETE FROM catalog.taken_rights;\n";
    }
    sql
}

fn object(right: &Right, database: &str) -> String {
    match right.privilege.as_str() {
        "EXECUTE" => format!("FUNCTION {}", right.object),
        _ => format!("DATABASE {}", quote_identifier(database)),
    }
}

fn take(sql: &mut String, right: &Right, object: &str, keeper: Option<&str>) -> std::fmt::Result {
    let privilege = &right.privilege;
    writeln!(sql, "REVOKE {privilege} ON {object} FROM PUBLIC;")?;
    if let Some(keeper) = keeper {
        writeln!(sql, "GRANT {privilege} ON {object} TO {keeper};")?;
    }
    let granted_to = right.keeper.as_deref().map_or("NULL".to_owned(), literal);
    // If a privilege was granted by hand since, the role that it was granted to is recorded already.
    writeln!(
        sql,
        "INSERT INTO catalog.taken_rights (privilege, object, granted_to) VALUES ('{privilege}', {}, {granted_to}) \
         ON CONFLICT (privilege, object) DO UPDATE SET granted_to = coalesce(excluded.granted_to, taken_rights.granted_to);",
        literal(&right.object)
    )
}

fn give_back(sql: &mut String, privilege: &str, object: &str, keeper: Option<&str>) -> std::fmt::Result {
    writeln!(sql, "GRANT {privilege} ON {object} TO PUBLIC;")?;
    keeper.map_or(Ok(()), |keeper| writeln!(sql, "REVOKE {privilege} ON {object} FROM {keeper};"))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(privilege: &str, object: &str, keeper: Option<&str>) -> Right {
        Right {
            class: "c".to_owned(),
            privilege: privilege.to_owned(),
            object: object.to_owned(),
            keeper: keeper.map(str::to_owned),
            losers: Vec::new(),
            is_permitted: true,
        }
    }

    #[test]
    fn names_are_quoted() {
        let rights = [right("TEMPORARY", "database", Some("o'\"r"))];
        let sql = transaction(Direction::Take, &rights, "d\"b");
        assert!(sql.contains("REVOKE TEMPORARY ON DATABASE \"d\"\"b\" FROM PUBLIC;"), "{sql}");
        assert!(sql.contains("GRANT TEMPORARY ON DATABASE \"d\"\"b\" TO \"o'\"\"r\";"), "{sql}");
        assert!(sql.contains("VALUES ('TEMPORARY', 'database', 'o''\"r')"), "{sql}");
    }

    #[test]
    fn what_is_given_back_is_forgotten() {
        let rights = [right("EXECUTE", "pg_catalog.lo_create(oid)", None)];
        let sql = transaction(Direction::GiveBack, &rights, "d");
        assert_eq!(sql.matches("GRANT EXECUTE ON FUNCTION pg_catalog.lo_create(oid) TO PUBLIC;").count(), 1);
        assert!(sql.contains("DELETE FROM catalog.taken_rights;") && !sql.contains("REVOKE"), "{sql}");
    }
}
