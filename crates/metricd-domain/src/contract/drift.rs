//! What is different between two contracts of the same SQL.

use std::collections::BTreeSet;

use super::{Contract, ContractColumn, ContractParameter, Period};

impl Contract {
    /// Describes how `now` differs from this contract, in one sentence for each difference.
    #[must_use]
    pub fn drift(&self, now: &Self) -> Vec<String> {
        let mut drift = Vec::new();
        let kinds = [
            ("column", columns(self.columns()), columns(now.columns())),
            ("parameter", parameters(self.parameters()), parameters(now.parameters())),
        ];
        for (kind, before, after) in kinds {
            for (name, type_name) in &before {
                match after.iter().find(|(other, _)| other == name) {
                    None => drift.push(format!("the {kind} `{name}` is gone")),
                    Some((_, other)) if other != type_name => {
                        drift.push(format!("the {kind} `{name}` was `{type_name}` and is `{other}`"));
                    }
                    Some(_) => {}
                }
            }
            let is_new = |(name, _): &&(&str, &str)| !before.iter().any(|(other, _)| other == name);
            drift.extend(after.iter().filter(is_new).map(|(name, _)| format!("the {kind} `{name}` is new")));
        }
        if drift.is_empty() && columns(self.columns()) != columns(now.columns()) {
            drift.push("the columns are in another order".to_owned());
        }
        // A table may have appeared in a schema that is searched earlier.
        let tables = |contract: &Self| -> BTreeSet<String> {
            contract.tables().iter().map(|table| format!("{}.{}", table.schema, table.name)).collect()
        };
        let (before, after) = (tables(self), tables(now));
        drift.extend(before.difference(&after).map(|table| format!("the SQL no longer reads `{table}`")));
        drift.extend(after.difference(&before).map(|table| format!("the SQL now reads `{table}`")));
        // SQL that was validated by other rules is validated again. That is not drift.
        let is_unsupported = |period: &Period| matches!(period, Period::Unsupported { .. });
        // The reason is a message, and another release may word it differently.
        let is_same = self.period() == now.period() || is_unsupported(self.period()) && is_unsupported(now.period());
        if self.0.period_revision == now.0.period_revision && !is_same {
            drift.push("what a period does has changed".to_owned());
        }
        drift
    }
}

fn columns(columns: &[ContractColumn]) -> Vec<(&str, &str)> {
    columns.iter().map(|column| (column.name.as_str(), column.type_name.as_str())).collect()
}

fn parameters(parameters: &[ContractParameter]) -> Vec<(&str, &str)> {
    parameters.iter().map(|parameter| (parameter.name.as_str(), parameter.type_name.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{column, contract, of_columns, table};
    use super::super::{ContractForeignKey, ContractParts, ContractTable, ReferencedColumn};
    use super::*;
    use crate::ParameterName;

    #[test]
    fn another_table_of_the_same_name_is_drift() {
        let reads = |table| contract(ContractParts { tables: vec![table], ..ContractParts::default() });
        let before = reads(table("orders", &[]));
        let after = reads(ContractTable { schema: "sales".into(), ..table("orders", &[]) });
        assert_eq!(
            before.drift(&after),
            ["the SQL no longer reads `warehouse.orders`", "the SQL now reads `sales.orders`"]
        );
    }

    #[test]
    fn drift_lists_what_is_gone_new_and_changed() {
        let before = of_columns(vec![column("a", "date"), column("b", "text")]);
        let after = of_columns(vec![column("a", "text"), column("c", "text")]);
        let drift = ["the column `a` was `date` and is `text`", "the column `b` is gone", "the column `c` is new"];
        assert_eq!(before.drift(&after), drift);
        assert!(before.drift(&before).is_empty());
        let after = of_columns(vec![column("b", "text"), column("a", "date")]);
        assert_eq!(before.drift(&after), ["the columns are in another order"]);
        let mut described = before.columns().to_vec();
        described[0].description = Some("Another description.".into());
        let described = of_columns(described);
        assert!(before.drift(&described).is_empty(), "clients do not rely on comments");
        let mut orders = ContractTable { columns: vec!["customer".into()], ..table("orders", &[]) };
        let of = |orders: &ContractTable| {
            contract(ContractParts { tables: vec![orders.clone()], ..ContractParts::default() })
        };
        let without_key = of(&orders);
        let key = ContractForeignKey::new("customer", ReferencedColumn::new("warehouse", "customers", "id"));
        orders.foreign_keys = vec![key];
        assert!(without_key.drift(&of(&orders)).is_empty(), "the result is the same");

        let with = |period: Period| {
            let parameter =
                ContractParameter { name: ParameterName::parse("end_date").unwrap(), type_name: "date".into() };
            let parameters = if period == Period::Bound { vec![parameter] } else { Vec::new() };
            contract(ContractParts { parameters, period, ..before.clone().into_parts() })
        };
        let unsupported = |reason: &str| with(Period::Unsupported { reason: reason.into() });
        assert!(unsupported("it has a window").drift(&unsupported("the SQL has a window")).is_empty());
        let changed = ["the parameter `end_date` is gone", "what a period does has changed"];
        assert_eq!(with(Period::Bound).drift(&unsupported("it has a window")), changed);
    }
}
