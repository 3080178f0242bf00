//! The dictionary of an enum column.

use std::collections::HashMap;

use arrow_array::{Array, StringArray};

use super::Refusal;

/// The labels of an enum type, in its order.
#[derive(Debug)]
pub(super) struct Labels {
    keys: HashMap<String, i32>,
    known: Vec<String>,
    array: StringArray,
}

impl Labels {
    pub(super) fn new(labels: &[String]) -> Self {
        let keys = labels.iter().cloned().zip(0..).collect();
        Self { keys, known: labels.to_vec(), array: StringArray::from_iter_values(labels) }
    }

    /// The key of a label. A label that the contract does not list yet is added at the end.
    pub(super) fn key(&mut self, label: &str) -> Result<i32, Refusal> {
        if let Some(key) = self.keys.get(label) {
            return Ok(*key);
        }
        let key = i32::try_from(self.known.len()).map_err(|_| Refusal::Malformed)?;
        self.keys.insert(label.to_owned(), key);
        self.known.push(label.to_owned());
        Ok(key)
    }

    /// The dictionary. It shares its memory with earlier ones of as many labels, so that writers recognise it.
    pub(super) fn array(&mut self) -> StringArray {
        if self.array.len() != self.known.len() {
            self.array = StringArray::from_iter_values(&self.known);
        }
        self.array.clone()
    }
}
