//! Reads the constants of a tree.

use super::node::{Node, Object};

/// The bytes of each constant of the query. In the tree, a constant has a length, and its bytes in brackets.
pub(super) fn of(query: Object<'_>) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut pending = vec![Node::Object(query)];
    while let Some(node) = pending.pop() {
        match node {
            Node::Object(object) if object.kind == "CONST" => {
                let value = object.fields.into_iter().find(|(name, _)| *name == "constvalue");
                let words = value.map(|(_, words)| words).unwrap_or_default();
                // Skips the length. On platforms with a signed `char`, the bytes are signed.
                let bytes = words.iter().skip(1).filter_map(|word| word.as_word()?.parse::<i16>().ok());
                found.push(bytes.map(|byte| byte.to_le_bytes()[0]).collect());
            }
            Node::Object(object) => pending.extend(object.fields.into_iter().flat_map(|(_, values)| values)),
            Node::List(list) => pending.extend(list),
            Node::Word(_) => {}
        }
    }
    found
}
