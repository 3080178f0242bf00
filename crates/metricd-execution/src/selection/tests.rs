use std::sync::Arc;

use metricd_domain::{ContractParts, TimeZone};

use super::*;
use crate::{BoundStatement, Guard, Statement};

/// A contract with a column of each kind.
fn contract() -> Contract {
    let columns = [
        ("amount", "numeric"),
        ("country", "text"),
        ("day", "date"),
        ("at", "timestamp without time zone"),
        ("is_open", "boolean"),
        ("mood", "mood"),
        ("tags", "text[]"),
        ("moods", "mood[]"),
        ("doc", "jsonb"),
        ("during", "tstzrange"),
        ("nick", "citext"),
        ("code", "character"),
        ("alias", "character varying"),
        ("raw", "json"),
        ("place", "point"),
        ("row", "sales"),
        ("a.b,\"c\"", "integer"),
        ("?column?", "integer"),
        ("-n", "integer"),
        ("größe \u{1f600}", "integer"),
        ("$1 OR :x; --", "integer"),
    ];
    let columns = columns.into_iter().map(|(name, type_name)| ContractColumn::new(name, type_name)).collect();
    let enums = [("mood".to_owned(), vec!["sad".to_owned(), "glad".to_owned()])].into();
    Contract::new(ContractParts { columns, enums, ..ContractParts::default() }).unwrap()
}

fn request(sort: Option<&str>, filters: &[&str], offset: &str) -> SelectionRequest {
    SelectionRequest {
        sort: sort.map(str::to_owned),
        filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
        offset: RowOffset::parse(offset).unwrap(),
    }
}

fn parse(sort: Option<&str>, filters: &[&str]) -> Result<Selection, Vec<InvalidArgument>> {
    Selection::parse(&request(sort, filters, "0"), Some(&contract()), &RequestZone::default())
}

/// The bound statement for `SELECT $1` with one value, and this selection with a limit of 20 rows.
fn bound(selection: Selection) -> BoundStatement {
    let value = metricd_domain::ParameterValue::unvalidated("own");
    let statement = BoundStatement::internal("SELECT $1", vec![Some(value)]);
    statement.selecting(&Arc::new(selection), RowLimit::parse("20").unwrap())
}

/// The condition of a filter, and its value.
fn condition(filter: &str) -> (String, Option<String>) {
    let bound = bound(parse(None, &[filter]).unwrap());
    let text = bound.text().strip_prefix("SELECT * FROM (\nSELECT $1\n) AS result WHERE ").unwrap();
    let (condition, _) = text.split_once(" LIMIT $").unwrap();
    let values: Vec<_> = bound.texts().collect();
    (condition.to_owned(), values.get(1..values.len() - 2).unwrap().first().map(|value| value.unwrap().to_owned()))
}

#[test]
fn a_filter_compares_values_of_one_built_in_type() {
    for (filter, sql, value) in [
        (
            "amount.gte.10.5",
            r#"CAST("amount" AS pg_catalog.numeric) OPERATOR(pg_catalog.>=) CAST($2 AS pg_catalog.numeric)"#,
            Some("10.5"),
        ),
        (
            "country.not.eq.x' OR '1",
            r#"NOT (CAST("country" AS pg_catalog.text) OPERATOR(pg_catalog.=) CAST($2 AS pg_catalog.text))"#,
            Some("x' OR '1"),
        ),
        (
            "country.in.(DE,\"a,b\",\"c\\\"d\")",
            r#"CAST("country" AS pg_catalog.text) OPERATOR(pg_catalog.=) ANY (CAST($2 AS pg_catalog.text[]))"#,
            Some(r#"{"DE","a,b","c\"d"}"#),
        ),
        (
            "day.isdistinct.2025-06-01",
            r#"("day" IS NOT DISTINCT FROM NULL OR CAST("day" AS pg_catalog.date) OPERATOR(pg_catalog.<>) CAST($2 AS pg_catalog.date))"#,
            Some("2025-06-01"),
        ),
        ("raw.is.NULL", r#""raw" IS NOT DISTINCT FROM NULL"#, None),
        ("row.not.is.null", r#"NOT ("row" IS NOT DISTINCT FROM NULL)"#, None),
        ("row.is.not_null", r#""row" IS DISTINCT FROM NULL"#, None),
        ("is_open.is.unknown", r#""is_open" IS UNKNOWN"#, None),
        ("is_open.is.True", r#""is_open" IS TRUE"#, None),
        ("mood.gt.sad", r#"CAST("mood" AS mood) OPERATOR(pg_catalog.>) CAST($2 AS mood)"#, Some("sad")),
        (
            "moods.ov.{sad,null}",
            r#"CAST("moods" AS mood[]) OPERATOR(pg_catalog.&&) CAST($2 AS mood[])"#,
            Some(r#"{"sad",NULL}"#),
        ),
        (
            "tags.cs.{a,\"b,c\"}",
            r#"CAST("tags" AS pg_catalog.text[]) OPERATOR(pg_catalog.@>) CAST($2 AS pg_catalog.text[])"#,
            Some(r#"{"a","b,c"}"#),
        ),
        (
            "doc.cd.{\"a\": 1}",
            r#"CAST("doc" AS pg_catalog.jsonb) OPERATOR(pg_catalog.<@) CAST($2 AS pg_catalog.jsonb)"#,
            Some("{\"a\": 1}"),
        ),
        (
            "during.ov.[2025-06-01,2025-07-01)",
            r#"CAST("during" AS pg_catalog.tstzrange) OPERATOR(pg_catalog.&&) CAST($2 AS pg_catalog.tstzrange)"#,
            Some("[2025-06-01,2025-07-01)"),
        ),
        (
            "code.like.a_*%\\*",
            r#"CAST("code" AS pg_catalog.bpchar) OPERATOR(pg_catalog.~~) CAST($2 AS pg_catalog.text)"#,
            Some("a_%%\\%"),
        ),
        (
            "alias.ilike.*x*",
            r#"CAST("alias" AS pg_catalog.text) OPERATOR(pg_catalog.~~*) CAST($2 AS pg_catalog.text)"#,
            Some("%x%"),
        ),
        (
            "nick.eq.Bo",
            r#"CASE WHEN "nick" IS NOT DISTINCT FROM NULL THEN NULL ELSE ARRAY[CAST("nick" AS citext)] OPERATOR(pg_catalog.=) ARRAY[CAST($2 AS citext)] END"#,
            Some("Bo"),
        ),
        (
            "nick.in.(a,b)",
            r#"CASE WHEN "nick" IS NOT DISTINCT FROM NULL THEN NULL ELSE ARRAY[CAST("nick" AS citext)] OPERATOR(pg_catalog.<@) CAST($2 AS citext[]) END"#,
            Some(r#"{"a","b"}"#),
        ),
        (
            "nick.isdistinct.a",
            r#"("nick" IS NOT DISTINCT FROM NULL OR ARRAY[CAST("nick" AS citext)] OPERATOR(pg_catalog.<>) ARRAY[CAST($2 AS citext)])"#,
            Some("a"),
        ),
        (
            "nick.like.a*",
            r#"CAST("nick" AS pg_catalog.text) OPERATOR(pg_catalog.~~*) CAST($2 AS pg_catalog.text)"#,
            Some("a%"),
        ),
        (
            r#""a.b,\"c\"".lt.5"#,
            r#"CAST("a.b,""c""" AS pg_catalog.int4) OPERATOR(pg_catalog.<) CAST($2 AS pg_catalog.int4)"#,
            Some("5"),
        ),
        (
            "$1 OR :x; --.neq.5",
            r#"CAST("$1 OR :x; --" AS pg_catalog.int4) OPERATOR(pg_catalog.<>) CAST($2 AS pg_catalog.int4)"#,
            Some("5"),
        ),
        (
            "größe \u{1f600}.lte.5",
            "CAST(\"größe \u{1f600}\" AS pg_catalog.int4) OPERATOR(pg_catalog.<=) CAST($2 AS pg_catalog.int4)",
            Some("5"),
        ),
    ] {
        assert_eq!(condition(filter), (sql.to_owned(), value.map(str::to_owned)), "{filter}");
    }
}

#[test]
fn a_statement_is_wrapped_and_its_values_follow_its_own() {
    let filters = ["amount.gt.1", "raw.is.null", "country.in.(a,b)"];
    let request = request(Some("-amount,\"a.b,\\\"c\\\"\",?column?"), &filters, "40");
    let selection = Selection::parse(&request, Some(&contract()), &RequestZone::default()).unwrap();
    let applied = selection.applied().cloned().unwrap();
    let bound = bound(selection);
    assert_eq!(
        bound.text(),
        "SELECT * FROM (\nSELECT $1\n) AS result WHERE \
         CAST(\"amount\" AS pg_catalog.numeric) OPERATOR(pg_catalog.>) CAST($2 AS pg_catalog.numeric) AND \
         \"raw\" IS NOT DISTINCT FROM NULL AND \
         CAST(\"country\" AS pg_catalog.text) OPERATOR(pg_catalog.=) ANY (CAST($3 AS pg_catalog.text[])) \
         ORDER BY \"amount\" DESC NULLS LAST, \"a.b,\"\"c\"\"\" ASC NULLS LAST, \"?column?\" ASC NULLS LAST \
         LIMIT $4 OFFSET $5"
    );
    let texts = |texts: Vec<Option<&str>>| texts.into_iter().map(|text| text.map(str::to_owned)).collect::<Vec<_>>();
    let own = |text: &str| Some(text.to_owned());
    let values = [own("own"), own("1"), own("{\"a\",\"b\"}")];
    let page = [own("21"), own("40")];
    assert_eq!(texts(bound.texts().collect()), [&values[..], &page].concat());
    assert_eq!(texts(bound.texts_of_all_pages().collect()), [&values[..], &[None, None]].concat());
    assert_eq!(
        (&**bound.origin(), without_selection(bound.text()).map(|text| text.starts_with("SELECT $1\n"))),
        ("SELECT $1", Some(true))
    );
    assert_eq!((applied.sort.len(), applied.filter.len(), applied.offset), (3, 3, 40));
    assert_eq!(applied.sort, ["-amount", "\"a.b,\\\"c\\\"\"", "?column?"]);
}

#[test]
fn an_empty_selection_changes_nothing() {
    let selection = parse(None, &[]).unwrap();
    assert!(selection.is_empty() && selection.applied().is_none());
    let bound = bound(selection);
    assert_eq!((bound.text(), bound.selection(), bound.texts_of_all_pages().count()), ("SELECT $1", None, 1));
    assert!(Selection::parse(&request(None, &[], "0"), None, &RequestZone::default()).unwrap().is_empty());
    assert!(!parse(None, &["raw.is.null"]).unwrap().is_empty());
}

#[test]
fn faults_name_what_is_wrong_and_what_is_expected() {
    for (sort, filters, expected) in [
        (None, vec!["x.eq.1"], vec![("filter", "`x.eq.1`: the result has no column `x`: expected one of `amount`, ")]),
        (None, vec!["AMOUNT.eq.1"], vec![("filter", "no column `AMOUNT`")]),
        (
            None,
            vec!["amount.like.1*"],
            vec![("filter", "type `numeric` has no operator `like`: expected `eq`, `neq`,")],
        ),
        (None, vec!["doc.lt.{}"], vec![("filter", "type `jsonb` has no operator `lt`")]),
        (None, vec!["country.cs.a"], vec![("filter", "type `text` has no operator `cs`")]),
        (None, vec!["raw.eq.{}"], vec![("filter", "type `json` has no operator `eq`: expected `is`")]),
        (None, vec!["row.eq.(1)"], vec![("filter", "type `sales` has no operator `eq`: expected `is`")]),
        (None, vec!["amount.eq.ten"], vec![("filter", "`amount.eq.ten`: `ten` is not valid: expected a number")]),
        (None, vec!["amount.eq.null"], vec![("filter", "`is.null` selects NULL")]),
        (None, vec!["amount.in.(1,x)"], vec![("filter", "`x` is not valid")]),
        (None, vec!["amount.in.1"], vec![("filter", "in brackets, such as `(a,b)`")]),
        (None, vec!["mood.eq.bad"], vec![("filter", "expected one of `sad`, `glad`")]),
        (None, vec!["is_open.is.yes"], vec![("filter", "expected `null`, `not_null`, `true`, `false` or `unknown`")]),
        (None, vec!["amount.is.true"], vec![("filter", "expected `null` or `not_null`")]),
        (None, vec!["tags.cs.a"], vec![("filter", "such as `{a,b}`")]),
        (None, vec!["country.like.a\\"], vec![("filter", "cannot end with a single")]),
        (None, vec!["country.eq.a\0"], vec![("filter", "NUL")]),
        (None, vec!["doc.cs.{"], vec![("filter", "a JSON document")]),
        (None, vec![""], vec![("filter", "expected `column.operator.value`")]),
        (
            Some("x,-y,amount,-amount,raw,place"),
            vec!["amount.eq.1", "z.eq.1", "amount.fts.a"],
            vec![
                ("sort", "no column `x`"),
                ("sort", "no column `y`"),
                ("sort", "the column `amount` occurs twice"),
                ("sort", "the column `raw` of the type `json` has no order"),
                ("sort", "the column `place` of the type `point` has no order"),
                ("filter", "no column `z`"),
                ("filter", "`fts` of PostgREST is not supported"),
            ],
        ),
        (Some(""), vec![], vec![("sort", "a column is missing")]),
        (Some("amount.desc"), vec![], vec![("sort", "no column `amount.desc`")]),
        (Some("1"), vec![], vec![("sort", "no column `1`")]),
        (Some("random()"), vec![], vec![("sort", "no column `random()`")]),
    ] {
        let faults = parse(sort, &filters).unwrap_err();
        assert_eq!(faults.len(), expected.len(), "{sort:?} {filters:?}: {faults:?}");
        for (fault, (name, message)) in faults.iter().zip(&expected) {
            assert!(fault.name == *name && fault.message.contains(message), "{sort:?} {filters:?}: {fault:?}");
        }
    }
}

#[test]
fn everything_is_bounded() {
    let many = vec!["amount.gt.1"; MAX_FILTERS];
    assert!(parse(None, &many).is_ok());
    let faults = parse(None, &vec!["amount.gt.1"; 500]).unwrap_err();
    assert_eq!((faults.len(), faults[0].message.contains("at most 20")), (1, true), "{faults:?}");
    let faults = parse(Some(&"a,".repeat(4_000)), &[]).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    let faults = parse(Some(&vec!["amount"; 21].join(",")), &[]).unwrap_err();
    assert!(faults[0].message.contains("at most 20"), "{faults:?}");
    let long = "x".repeat(100_000);
    assert!(parse(None, &[&format!("country.eq.{long}")]).is_ok());
    for filter in [format!("{long}.eq.1"), format!("amount.{long}.1"), format!("amount.eq.{long}"), long.clone()] {
        let faults = parse(Some(&long), &[&filter]).unwrap_err();
        assert!(faults.len() == 2 && faults.iter().all(|fault| fault.message.len() < 2_000), "{faults:?}");
    }
    let elements = |count: usize| format!("amount.in.({})", vec!["1"; count].join(","));
    assert!(parse(None, &[&elements(1_000)]).is_ok());
    assert!(parse(None, &[&elements(1_001)]).unwrap_err()[0].message.contains("at most 1000"));
}

#[test]
fn without_a_contract_nothing_can_be_selected() {
    for (request, fields) in [
        (request(Some("a"), &["a.eq.1", "b.eq.1"], "1"), vec!["sort", "filter", "offset"]),
        (request(None, &[], "1"), vec!["offset"]),
        (request(Some("a"), &[], "0"), vec!["sort"]),
    ] {
        let faults = Selection::parse(&request, None, &RequestZone::default()).unwrap_err();
        assert_eq!(faults.iter().map(|fault| fault.name.as_str()).collect::<Vec<_>>(), fields);
    }
}

#[test]
fn a_result_is_repeatable_if_every_value_is_validated() {
    for (sort, filters, is_repeatable) in [
        (None, vec!["amount.eq.1", "mood.eq.sad", "tags.cs.{a}", "raw.is.null", "row.is.null"], true),
        (Some("amount,mood,during"), vec![], true),
        (None, vec!["during.cs.[today,tomorrow)"], false),
        (None, vec!["doc.cs.{}"], false),
        (None, vec!["nick.eq.a"], false),
        (None, vec!["nick.is.null"], true),
        (Some("nick"), vec![], false),
        (Some("row"), vec![], false),
    ] {
        assert_eq!(parse(sort, &filters).unwrap().is_repeatable(), is_repeatable, "{sort:?} {filters:?}");
    }
}

#[test]
fn a_value_that_postgresql_refuses_is_named_by_its_filter() {
    let selection = parse(None, &["doc.cs.{}", "amount.eq.1"]).unwrap();
    let refused = selection.refused_values();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].message, "`doc.cs.{}`: PostgreSQL refuses the value: expected one of the type `jsonb`");
    assert!(parse(Some("amount"), &["amount.eq.1"]).unwrap().refused_values().is_empty());
    let both = parse(Some("nick"), &["doc.cs.{}", "during.eq.empty"]).unwrap();
    assert!(both.refused_values().iter().all(|fault| fault.message.contains("this value or another one")));
    let compared: Vec<_> = both.refused_comparisons().into_iter().map(|fault| fault.name).collect();
    assert_eq!(compared, ["sort", "filter", "filter"]);
}

#[test]
fn the_time_zone_of_the_request_decides_about_offsets() {
    let berlin = RequestZone::new(Some(TimeZone::parse("Europe/Berlin").unwrap()), &TimeZone::default());
    let request = request(None, &["at.eq.2025-06-01T12:00:00Z"], "0");
    assert!(Selection::parse(&request, Some(&contract()), &RequestZone::default()).is_ok());
    let faults = Selection::parse(&request, Some(&contract()), &berlin).unwrap_err();
    assert!(faults[0].message.contains("without an offset"), "{faults:?}");
}

#[test]
fn columns_are_listed_as_they_have_to_be_written() {
    let columns = Selection::columns(&contract());
    let named = |name: &str| columns.iter().find(|column| column.name == name).cloned().unwrap();
    assert_eq!(named("raw"), SelectableColumn { name: "raw".into(), is_sortable: false, operators: vec!["is"] });
    for name in ["\"a.b,\\\"c\\\"\"", "?column?", "\"-n\"", "\"$1 OR :x; --\"", "größe \u{1f600}"] {
        let name = if name.contains('$') { "$1 OR :x; --" } else { name };
        let column = named(name);
        assert!(parse(Some(&format!("-{}", column.name)), &[&format!("{}.eq.1", column.name)]).is_ok(), "{column:?}");
    }
}

/// The guard, which knows nothing of selections, accepts their text: the operators, types and constructs are those that
/// stored SQL may use.
#[test]
fn the_guard_accepts_every_condition() {
    let mut allowed = crate::Allowed::default();
    allowed.schemas[0].types.extend(["mood".to_owned(), "citext".to_owned()]);
    let guard = Guard::new(allowed);
    let contract = contract();
    for column in contract.columns() {
        let column_type = ColumnType::of(&column.type_name, &contract);
        for operator in column_type.operators() {
            let value = match (operator.name(), column_type.operators().len()) {
                ("is", _) => "null",
                ("in", _) => "()",
                _ if matches!(column_type, ColumnType::Array(_)) => "{}",
                _ => match column.type_name.as_str() {
                    "numeric" | "integer" => "1",
                    "date" | "timestamp without time zone" => "2025-06-01",
                    "boolean" => "true",
                    "mood" => "sad",
                    "jsonb" => "{}",
                    _ => "x",
                },
            };
            let filter = format!("{}.not.{operator}.{value}", written(&column.name));
            let sort = column_type.is_sortable().then(|| format!("-{}", written(&column.name)));
            let selection = parse(sort.as_deref(), &[&filter]).unwrap_or_else(|faults| panic!("{faults:?}"));
            // The guard's parser knows no other form of `= ANY`.
            let text = selection.wrap("SELECT 1 -- a comment", 1);
            let mut text = text.replace("OPERATOR(pg_catalog.=) ANY", "= ANY");
            for number in (1..=3).rev() {
                text = text.replace(&format!("CAST(${number} AS"), &format!("CAST(:p{number} AS"));
                text = text.replace(&format!("LIMIT ${number}"), &format!("LIMIT :p{number}"));
                text = text.replace(&format!("OFFSET ${number}"), &format!("OFFSET :p{number}"));
            }
            let statement = Statement::parse(&metricd_domain::SqlText::parse(&text).unwrap()).unwrap();
            assert_eq!(guard.check(&statement), Ok(()), "{text}");
        }
    }
}
