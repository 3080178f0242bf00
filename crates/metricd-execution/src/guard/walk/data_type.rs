//! Checks names of types.

use sqlparser::ast::{ArrayElemTypeDef, DataType};

use super::Walk;
use crate::{FindingCode, Position};

impl Walk<'_> {
    pub(super) fn data_type(&mut self, data_type: &DataType, position: Position) {
        if let DataType::Custom(_, modifiers) = data_type
            && !modifiers.iter().all(|modifier| modifier.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let message = "a type's length and precision are numbers";
            return self.find(FindingCode::NotUnderstood, position, &data_type.to_string(), message);
        }
        let mut option = "--allow-type".to_owned();
        let name = match data_type {
            DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Parenthesis(element)) => {
                return self.data_type(element, position);
            }
            DataType::Custom(name, _) => match self.schema_and_name(name) {
                // In quotes or with a schema, `char` is not `character`, but the one-byte type of the system catalogs.
                Some((schema, name)) if name == "char" && self.allowed.is_type(schema.as_deref(), "\"char\"") => return,
                Some((schema, name)) if name != "char" && self.allowed.is_type(schema.as_deref(), &name) => return,
                Some((schema, plain)) => {
                    match schema.as_deref() {
                        None => {}
                        Some("pg_catalog") => option = format!("{option} {plain}"),
                        Some(schema) => option = format!("{option} {schema}.{plain}"),
                    }
                    name.to_string()
                }
                None => return,
            },
            // A type that the parser knows is printed as SQL, without its length and precision.
            known => {
                let printed = known.to_string().to_ascii_lowercase();
                let name = without_parentheses(&printed);
                if self.allowed.is_type(None, &name) {
                    return;
                }
                printed
            }
        };
        let message = format!(
            "this type may not be named: write one of the types that docs/guard.md lists, or have the operator allow it \
             with `{option}`"
        );
        self.find(FindingCode::TypeNotAllowed, position, &name, message);
    }
}

/// Removes `(3)` from `timestamp(3) with time zone`, and the fields from `interval day to second`.
fn without_parentheses(printed: &str) -> String {
    let mut depth = 0;
    let mut plain = String::new();
    for character in printed.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            character if depth == 0 => plain.push(character),
            _ => {}
        }
    }
    if plain.starts_with("interval ") { "interval".to_owned() } else { plain.trim().to_owned() }
}
