//! Defines a metric, stores it, changes it and lists the stored metrics.
//!
//! ```sh
//! cargo run -p metricd-repository --example define_a_metric
//! ```

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use metricd_domain::{
    Actor, ChangeSource, Contract, ContractColumn, ContractParts, DisplayText, MetricId, MetricLimits, MetricTitle,
    Parameter, ParameterDeclaration, Parameters, SqlText,
};
use metricd_repository::{
    DefinitionFilter, MemoryRepository, MetricChange, MetricContent, MetricRepository, NewMetric, RepositoryError,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Constructors validate, so an id that exists is valid.
    let id = MetricId::parse("daily-alerts")?;
    for text in ["daily alerts", "", "naïve"] {
        if let Err(error) = MetricId::parse(text) {
            println!("{error}");
        }
    }

    let sql = SqlText::parse(
        "-- Alerts by day\nSELECT date, count(*) AS alerts FROM metrics WHERE date >= :since GROUP BY date",
    )?;
    let mut since = ParameterDeclaration::new("since", "date");
    since.default = Some("2025-01-01".into());
    let since = Parameter::try_from(since)?;
    if let Err(error) = since.accept("2025-02-30") {
        println!("{error}");
    }

    // The contract describes the SQL. metricd makes it from PostgreSQL's description; this program writes it by hand.
    let columns = vec![ContractColumn::new("date", "date"), ContractColumn::new("alerts", "bigint")];
    let contract = Contract::new(ContractParts { columns, ..ContractParts::default() })?;

    let mut content = MetricContent::new(sql, contract);
    content.parameters = Parameters::new([since])?;
    content.limits = MetricLimits::new(Some(1_000), None, None, None)?;

    let store = MemoryRepository::default();
    let ann = Actor::by(ChangeSource::Http);
    let (stored, _) = store.insert_metric(NewMetric::new(id.clone(), content.clone(), ann.clone()), None).await?;
    println!("`{id}` is stored in version {} as \"{}\"", stored.version, stored.title());

    // A change names the version that it is based on, so concurrent changes do not overwrite each other.
    content.display_text = DisplayText { title: Some(MetricTitle::parse("Alerts")?), description: None };
    let change = MetricChange::Content(Box::new(content));
    let changed = store.change_metric(&id, stored.version, change, ann.clone()).await?;
    let outdated = store.change_metric(&id, stored.version, MetricChange::Delete, ann).await;
    assert!(matches!(outdated, Err(RepositoryError::VersionMismatch { current }) if current == changed.version));

    for definition in store.list_definitions(&DefinitionFilter::default(), None, 10).await? {
        println!("{}: \"{}\", version {}", definition.metric.metric_id, definition.title(), definition.version);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_example_runs() {
        super::main().unwrap();
    }
}
