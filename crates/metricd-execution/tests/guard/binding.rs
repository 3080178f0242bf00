//! Binds the values of requests: missing, unknown, mistyped and out-of-range ones, and periods.

use std::collections::BTreeMap;

use metricd_domain::{
    Contract, ContractColumn, ContractParameter, ContractParts, ContractTable, Metric, MetricDefinition, MetricId,
    ParameterName, Period, PeriodColumn, PeriodSource, QueryId, SqlText,
};
use metricd_execution::{AppliedPeriod, BoundStatement, InvalidArgument, MetricStatement, PeriodApplication};
use serde_json::{Value, json};

type Bound = Result<(BoundStatement, Option<AppliedPeriod>), Vec<InvalidArgument>>;

/// The parts of a contract with this period and the column by which it selects.
fn parts(period: Period) -> ContractParts {
    let (mut columns, mut tables) = (Vec::new(), Vec::new());
    match &period {
        Period::Narrowed(source) => {
            let mut table = ContractTable::new("warehouse", &source.table);
            table.columns = vec!["id".to_owned()];
            table.time_columns = vec![ContractColumn::new(&source.column, &source.type_name)];
            tables.push(table);
        }
        Period::Result(column) => columns.push(ContractColumn::new(&column.column, &column.type_name)),
        Period::Bound | Period::Unsupported { .. } => {}
    }
    ContractParts { columns, tables, period, ..ContractParts::default() }
}

/// A statement with declared parameters and a contract with the types of all parameters.
fn statement(sql: &str, declared: Value, types: &[(&str, &str)], period: Period) -> MetricStatement {
    let mut metric = Metric::new(MetricId::parse("m").unwrap(), QueryId::parse("q").unwrap(), true);
    metric.parameters = serde_json::from_value(declared).unwrap();
    let parameter = |(name, type_name): &(&str, &str)| ContractParameter {
        name: ParameterName::parse(*name).unwrap(),
        type_name: (*type_name).into(),
    };
    let parts = ContractParts { parameters: types.iter().map(parameter).collect(), ..parts(period) };
    let contract = Contract::new(parts).unwrap();
    let sql = SqlText::parse(sql).unwrap();
    MetricStatement::of(&MetricDefinition::new(metric, sql, Some(contract))).unwrap()
}

fn bind(statement: &MetricStatement, given: &[(&str, &str)]) -> Bound {
    statement
        .bind(&given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
}

fn arguments(bound: Bound) -> Vec<Option<String>> {
    bound.unwrap().0.arguments().iter().map(|value| value.as_ref().map(|value| value.as_str().to_owned())).collect()
}

/// The name and the message of each error.
fn faults(bound: Bound) -> Vec<(String, String)> {
    bound.unwrap_err().into_iter().map(|fault| (fault.name, fault.message)).collect()
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

fn narrowed(type_name: &str) -> Period {
    Period::Narrowed(PeriodSource {
        schema: "warehouse".into(),
        table: "metrics".into(),
        column: "date".into(),
        type_name: type_name.into(),
    })
}

#[test]
fn values_are_bound_by_number_and_declared_ones_are_cast() {
    let declared = json!([{"name": "kind", "type": "text"}, {"name": "ids", "type": "integer[]"}]);
    let metric = statement(
        "SELECT ':kind', :kind, :n FROM t WHERE id = ANY (:ids) AND k = :kind; -- :x",
        declared,
        &[("kind", "text"), ("n", "bigint"), ("ids", "integer[]")],
        Period::default(),
    );
    let bound = bind(&metric, &[("kind", "a'; DROP"), ("n", "7"), ("ids", "1,2")]).unwrap().0;
    let text =
        "SELECT ':kind', CAST($1 AS text), $2 FROM t WHERE id = ANY (CAST($3 AS integer[])) AND k = CAST($1 AS text)";
    assert_eq!(bound.text(), text);
    assert_eq!(arguments(Ok((bound, None))), some(&["a'; DROP", "7", "{\"1\",\"2\"}"]));
    assert!(!metric.has_unvalidated());
}

#[test]
fn defaults_apply_and_missing_optional_values_are_null() {
    let declared = json!([
        {"name": "a", "type": "integer", "default": 5},
        {"name": "b", "type": "text", "required": false},
        {"name": "c", "type": "text[]", "default": ["x", "y"]},
    ]);
    let metric = statement("SELECT :a, :b, :c", declared, &[], Period::default());
    assert_eq!(arguments(bind(&metric, &[])), [Some("5".to_owned()), None, Some("{\"x\",\"y\"}".to_owned())]);
    assert_eq!(arguments(bind(&metric, &[("a", "6"), ("b", ""), ("c", "")])), some(&["6", "", "{}"]));
}

#[test]
fn all_errors_are_returned_in_the_order_of_the_names() {
    let declared = json!([
        {"name": "size", "type": "integer", "min": 1, "max": 10},
        {"name": "kind", "type": "text", "allowed": ["a", "b"]},
        {"name": "day", "type": "date"},
    ]);
    let types = [("n", "bigint"), ("flags", "boolean[]")];
    let metric = statement("SELECT :size, :kind, :day, :n, :flags, :free", declared, &types, Period::default());
    let given =
        [("size", "11"), ("kind", "c"), ("day", "2025-02-30"), ("flags", "true,maybe"), ("zzz", "1"), ("Size", "1")];
    let errors = faults(bind(&metric, &given));
    let names: Vec<_> = errors.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Size", "day", "flags", "free", "kind", "n", "size", "zzz"]);
    let message =
        |name: &str| errors.iter().find(|(fault, _)| fault == name).map(|(_, message)| message.as_str()).unwrap();
    assert_eq!(message("n"), "the metric needs a value for it, of the type `bigint`");
    assert_eq!(message("free"), "the metric needs a value for it");
    assert_eq!(message("size"), "`11` is too large: expected at most `10`");
    assert!(message("kind").starts_with("`c` is not allowed: expected one of"), "{}", message("kind"));
    assert!(message("zzz").contains("it takes `size`, `kind`, `day`, `n`, `flags`, `free`"), "{}", message("zzz"));
    let too_small = [("size", "0"), ("kind", "a"), ("day", "2025-02-28"), ("n", "1"), ("flags", ""), ("free", "x")];
    let small = [("size".to_owned(), "`0` is too small: expected at least `1`".to_owned())];
    assert_eq!(faults(bind(&metric, &too_small)), small);
}

#[test]
fn only_postgresql_validates_a_value_of_another_type() {
    let metric = statement("SELECT :r", json!([]), &[("r", "daterange")], Period::default());
    assert!(metric.has_unvalidated());
    assert_eq!(arguments(bind(&metric, &[("r", "[2025-01-01,)")])), some(&["[2025-01-01,)"]));
    assert_eq!(faults(bind(&metric, &[("r", "a\0")])).len(), 1);
}

#[test]
fn a_period_that_the_sql_names_is_bound_and_open_without_days() {
    let types = [("start_date", "date"), ("end_date", "timestamp with time zone")];
    let metric = statement("SELECT :start_date, :end_date", json!([]), &types, Period::Bound);
    let (start, end) = (("start_date", "2025-01-01"), ("end_date", "2025-01-31"));
    assert_eq!(arguments(bind(&metric, &[])), some(&["-infinity", "infinity"]));
    assert_eq!(arguments(bind(&metric, &[start]))[0].as_deref(), Some("2025-01-01"));
    let applied = bind(&metric, &[end]).unwrap().1.unwrap();
    assert_eq!((applied.start_date, applied.end_date.as_deref()), (None, Some("2025-01-31")));
    assert_eq!(applied.applied, PeriodApplication::Bound);
    let one = statement("SELECT :start_date", json!([]), &types[..1], Period::Bound);
    assert_eq!(faults(bind(&one, &[start, end]))[0].0, "end_date");
}

#[test]
fn a_period_narrows_the_table_if_the_sql_does_not_name_it() {
    let sql = "SELECT count(*) FROM metrics WHERE id = :id";
    let metric = statement(sql, json!([]), &[("id", "text")], narrowed("date"));
    let plain = bind(&metric, &[("id", "a")]).unwrap();
    assert_eq!((plain.0.text(), plain.1), ("SELECT count(*) FROM metrics WHERE id = $1", None));
    let (bound, applied) = bind(&metric, &[("id", "a"), ("end_date", "2025-01-31")]).unwrap();
    assert_eq!(
        bound.text(),
        "SELECT count(*) FROM (SELECT \"id\" FROM \"metrics\" WHERE \"date\" >= CAST($1 AS date) AND \"date\" <= \
         CAST($2 AS date) + INTERVAL '1 day' - INTERVAL '1 microsecond') AS \"metrics\" WHERE id = $3"
    );
    assert_eq!(applied.unwrap().applied, PeriodApplication::Narrowed);
    assert_eq!(arguments(Ok((bound, None))), some(&["-infinity", "2025-01-31", "a"]));
    let instants = statement(sql, json!([]), &[("id", "text")], narrowed("timestamp with time zone"));
    let given = [("id", "a"), ("start_date", "2025-01-01")];
    let [of_days, of_instants] = [metric, instants].map(|metric| bind(&metric, &given).unwrap().0.text().to_owned());
    assert_eq!(of_days, of_instants, "a column may become the other");
}

#[test]
fn a_period_filters_the_result_if_it_is_applied_to_it() {
    let column = PeriodColumn { column: "day".into(), type_name: "date".into() };
    let sql = "SELECT :n AS n, day FROM metrics LIMIT :n -- few";
    let metric = statement(sql, json!([]), &[("n", "bigint")], Period::Result(column));
    let (bound, applied) = bind(&metric, &[("n", "7"), ("start_date", "2025-01-31")]).unwrap();
    assert_eq!(
        bound.text(),
        "SELECT * FROM (\nSELECT $1 AS n, day FROM metrics LIMIT $1\n) AS result WHERE \"day\" >= CAST($2 AS date) AND \
         \"day\" <= CAST($3 AS date) + INTERVAL '1 day' - INTERVAL '1 microsecond'"
    );
    assert_eq!(applied.unwrap().applied, PeriodApplication::Result);
    assert_eq!(arguments(Ok((bound, None))), some(&["7", "2025-01-31", "infinity"]));
}

/// This version of metricd would rewrite the SQL differently from the version that validated it.
#[test]
fn a_period_is_not_applied_to_sql_that_other_rules_validated() {
    let metric = Metric::new(MetricId::parse("m").unwrap(), QueryId::parse("q").unwrap(), true);
    let contract = Contract::new(ContractParts { period_revision: 0, ..parts(narrowed("date")) }).unwrap();
    let sql = SqlText::parse("SELECT 1 FROM metrics").unwrap();
    let metric = MetricStatement::of(&MetricDefinition::new(metric, sql, Some(contract))).unwrap();
    assert!(bind(&metric, &[]).is_ok());
    let errors = faults(bind(&metric, &[("start_date", "2025-01-31")]));
    assert!(errors[0].1.contains("another version"), "{errors:?}");
}

#[test]
fn an_impossible_period_is_an_error() {
    let metric = statement("SELECT 1 FROM metrics", json!([]), &[], narrowed("date"));
    let reversed = [("start_date", "2025-02-01"), ("end_date", "2025-01-31")];
    let errors = [("end_date".to_owned(), "the period ends before it starts, on `2025-02-01`".to_owned())];
    assert_eq!(faults(bind(&metric, &reversed)), errors);
    assert_eq!(faults(bind(&metric, &[("start_date", "yesterday")]))[0].0, "start_date");
    assert!(bind(&metric, &[("start_date", "2025-01-31"), ("end_date", "2025-01-31")]).is_ok());
    let none = statement("SELECT 1", json!([]), &[], Period::Unsupported { reason: "there is none".into() });
    let errors = faults(bind(&none, &[("start_date", "2025-01-01")]));
    assert_eq!(errors, [("start_date".to_owned(), "the metric has no period: there is none".to_owned())]);
    assert!(bind(&none, &[]).is_ok());
}

/// A statement for a period numbers its parameters in another order.
#[test]
fn a_value_that_only_postgresql_can_validate_is_blamed_by_its_own_name_in_a_period() {
    let metric = Metric::new(MetricId::parse("m").unwrap(), QueryId::parse("q").unwrap(), true);
    let parameter = |name| ContractParameter { name: ParameterName::parse(name).unwrap(), type_name: "mood".into() };
    let parts = ContractParts {
        parameters: vec![parameter("first"), parameter("second")],
        enums: BTreeMap::from([("mood".to_owned(), vec!["ok".to_owned(), "sad".to_owned()])]),
        ..parts(narrowed("date"))
    };
    let sql = SqlText::parse("SELECT id FROM metrics WHERE mood IN (:first, :second)").unwrap();
    let definition = MetricDefinition::new(metric, sql, Some(Contract::new(parts).unwrap()));
    let metric = MetricStatement::of(&definition).unwrap();
    for period in [&[][..], &[("start_date", "2025-01-01"), ("end_date", "2025-01-31")]] {
        let given: Vec<_> = [("first", "ok"), ("second", "happy")].iter().chain(period).copied().collect();
        let (bound, _) = bind(&metric, &given).unwrap();
        let refused = metric.refused(&bound);
        let names: Vec<_> = refused.iter().map(|fault| fault.name.as_str()).collect();
        assert_eq!(names, ["second"], "{refused:?}");
        assert!(refused[0].message.starts_with("`happy` is none of the values"), "{refused:?}");
    }
}
