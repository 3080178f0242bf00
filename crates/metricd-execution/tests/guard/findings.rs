//! The findings of refused SQL: code, position, snippet, and what to write instead.

use crate::corpus::check;

/// SQL with its findings: code, line and column, snippet, message.
type Case = (&'static str, &'static [(&'static str, (u64, u64), &'static str, &'static str)]);

const RELATION: &str = "a metric reads only tables and views of the schema `warehouse`: write one of those";
const TYPE: &str = "this type may not be named: write one of the types that docs/guard.md lists, or have the operator allow it with `--allow-type`";

const CASES: &[Case] = &[
    ("-- nothing", &[("sql-blank", (1, 1), "", "the SQL has nothing but comments: expected one SELECT statement")]),
    (
        "DELETE FROM metrics",
        &[("sql-not-a-query", (1, 1), "DELETE", "expected a query, which begins with SELECT, WITH, VALUES or TABLE")],
    ),
    (
        "SELECT 1;\n SELECT 2",
        &[("sql-several-statements", (2, 2), ";", "a second statement begins here: expected one SELECT statement")],
    ),
    (
        "SELECT 'a",
        &[("sql-unreadable", (1, 8), "", "the SQL cannot be read: a string does not end: its closing `'` is missing")],
    ),
    (
        "SELECT date 'today', ' Yesterday 10:00'::timestamp::date, CAST('now' AS timestamptz), 'today'::text::date",
        &[
            (
                "sql-frozen-time",
                (1, 13),
                "today",
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write CURRENT_DATE",
            ),
            (
                "sql-frozen-time",
                (1, 22),
                " Yesterday 10:00",
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write CURRENT_DATE - 1",
            ),
            (
                "sql-frozen-time",
                (1, 64),
                "now",
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write now()",
            ),
        ],
    ),
    (
        "SELECT daterange '[tod\\ay,)', '{\"n\\ow\"}'::timestamptz[], 'known'::text",
        &[
            (
                "sql-frozen-time",
                (1, 18),
                "[tod\\ay,)",
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write CURRENT_DATE",
            ),
            (
                "sql-frozen-time",
                (1, 31),
                "{\"n\\ow\"}",
                "PostgreSQL evaluates this when it prepares the statement, not when it runs it: write now()",
            ),
        ],
    ),
    (
        "SELECT 1 #--x\n 2",
        &[(
            "sql-unreadable",
            (1, 12),
            "",
            "the SQL cannot be read: a comment directly after an operator: put a blank between them",
        )],
    ),
    (
        "SELECT U&\"a\"",
        &[(
            "sql-unreadable",
            (1, 8),
            "",
            "the SQL cannot be read: a name that is spelled with U&: write the name itself",
        )],
    ),
    (
        "SELECT $1",
        &[("sql-numbered-parameter", (1, 8), "$1", "a parameter by number: write parameters by name, such as `:day`")],
    ),
    (
        "SELECT :limit",
        &[(
            "sql-parameter-name",
            (1, 8),
            ":",
            "`limit` cannot name a parameter: requests use that name for something else; expected another name",
        )],
    ),
    (
        "SELECT\n  pg_sleep(1)",
        &[(
            "sql-function-not-allowed",
            (2, 3),
            "pg_sleep",
            "the function `pg_sleep` may not be called: a metric does not wait",
        )],
    ),
    (
        "/* é\n */ SELECT 'é', :a, pg_sleep(1)",
        &[(
            "sql-function-not-allowed",
            (2, 21),
            "pg_sleep",
            "the function `pg_sleep` may not be called: a metric does not wait",
        )],
    ),
    (
        "SELECT * FROM x, LATERAL PG_LS_DIR('.') y",
        &[(
            "sql-function-not-allowed",
            (1, 26),
            "PG_LS_DIR",
            "the function `pg_ls_dir` may not be called: a metric does not read the state of the server or of other sessions",
        )],
    ),
    (
        "SELECT random()",
        &[(
            "sql-function-not-allowed",
            (1, 8),
            "random",
            "the function `random` may not be called: the result of a metric is repeatable: sample with TABLESAMPLE … REPEATABLE",
        )],
    ),
    (
        "SELECT m.pg_column_size FROM metrics m",
        &[(
            "sql-function-not-allowed",
            (1, 10),
            "pg_column_size",
            "after a point this may call a function of PostgreSQL: give the column another name in a view",
        )],
    ),
    ("SELECT * FROM pg_authid", &[("sql-relation-not-allowed", (1, 15), "pg_authid", RELATION)]),
    (
        "SELECT 1 FROM a JOIN\n catalog.queries q ON true",
        &[("sql-relation-not-allowed", (2, 2), "catalog.queries", RELATION)],
    ),
    ("SELECT * FROM a.b.c", &[("sql-not-understood", (1, 15), "a.b.c", "expected a name, or a schema and a name")]),
    ("SELECT 'a'::regclass", &[("sql-type-not-allowed", (1, 8), "regclass", TYPE)]),
    ("SELECT 1::int::regclass::text", &[("sql-type-not-allowed", (1, 8), "regclass", TYPE)]),
    (
        "SELECT CAST('a' AS public.citext)",
        &[(
            "sql-type-not-allowed",
            (1, 13),
            "public.citext",
            "this type may not be named: write one of the types that docs/guard.md lists, or have the operator allow it with `--allow-type public.citext`",
        )],
    ),
    ("SELECT CAST('a' AS \"char\")", &[("sql-type-not-allowed", (1, 13), "\"char\"", TYPE)]),
    (
        "SELECT a FROM m ORDER BY a USING <",
        &[(
            "sql-operator-not-allowed",
            (1, 26),
            "USING",
            "ORDER BY … USING cannot be used in a metric's SQL: write ASC or DESC",
        )],
    ),
    ("SELECT 1 INTO x FROM metrics", &[("sql-writes", (1, 1), "INTO x", "a metric only reads: leave INTO out")]),
    (
        "WITH d AS (DELETE FROM metrics RETURNING 1) SELECT 1",
        &[("sql-writes", (1, 12), "DELETE FROM metrics RETURNING 1", "a metric only reads: write a SELECT")],
    ),
    (
        "SELECT 1 FROM metrics FOR UPDATE",
        &[("sql-locks", (1, 23), "FOR UPDATE", "a metric only reads: leave the locking clause out")],
    ),
    (
        "SELECT 1 FROM m WHERE x = -- y",
        &[(
            "sql-not-understood",
            (1, 26),
            "",
            "the SQL ends where an expression is expected; if PostgreSQL accepts it, write it in another way",
        )],
    ),
    (
        "SELECT @#@ 24 AS n",
        &[(
            "sql-not-understood",
            (1, 8),
            "@",
            "`@#@` is a prefix operator that PostgreSQL itself does not have: call its function",
        )],
    ),
    (
        "SELECT `a` FROM m",
        &[(
            "sql-not-understood",
            (1, 8),
            "`",
            "metricd cannot read ``` here and expects an expression; if PostgreSQL accepts it, write it in another way",
        )],
    ),
    (
        "SELECT TOP 5 a FROM m",
        &[(
            "sql-not-understood",
            (1, 12),
            "5",
            "metricd cannot read `5` here and expects the end of the statement; if PostgreSQL accepts it, write it in another way",
        )],
    ),
    (
        "SELECT xmlelement(name a) FROM metrics",
        &[(
            "sql-function-not-allowed",
            (1, 8),
            "xmlelement",
            "`xmlelement` may not be called: a metric does not read XML",
        )],
    ),
    (
        "SELECT collation for (id) FROM user",
        &[(
            "sql-function-not-allowed",
            (1, 32),
            "user",
            "`user` reads the session, which is the server's own: leave it out",
        )],
    ),
    (
        "SELECT 1 FROM metrics WHERE interval = 1 AND window = 2",
        &[(
            "sql-not-understood",
            (1, 46),
            "window",
            "PostgreSQL reserves the word `window`: put it in double quotes where it is a name",
        )],
    ),
    (
        "SELECT pg_sleep(1), é, lo_create(0) FROM pg_class",
        &[
            (
                "sql-function-not-allowed",
                (1, 8),
                "pg_sleep",
                "the function `pg_sleep` may not be called: a metric does not wait",
            ),
            (
                "sql-function-not-allowed",
                (1, 24),
                "lo_create",
                "the function `lo_create` may not be called: write it with the functions that docs/guard.md lists, or have the operator allow it",
            ),
            ("sql-relation-not-allowed", (1, 42), "pg_class", RELATION),
        ],
    ),
];

#[test]
fn a_finding_has_a_position_and_advice() {
    for (sql, expected) in CASES {
        let findings = check(sql).unwrap_err();
        let found: Vec<_> = findings
            .iter()
            .map(|finding| {
                let position = (finding.position.line, finding.position.column);
                (finding.code.code(), position, finding.snippet.as_str(), finding.message.as_str())
            })
            .collect();
        assert_eq!(found, *expected, "{sql}");
    }
}
