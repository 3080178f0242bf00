//! Parses the text format of trees, like PostgreSQL's `read.c`.

use std::borrow::Cow;

/// The maximum depth of nested nodes. The stack of PostgreSQL does not allow as many.
const MAX_DEPTH: usize = 50_000;

/// A node: `{KIND :field value …}`, `(…)` or a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node<'a> {
    Object(Object<'a>),
    List(Vec<Node<'a>>),
    Word(Cow<'a, str>),
}

/// A node with fields, in the order in which PostgreSQL writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object<'a> {
    pub(super) kind: &'a str,
    /// The names of the fields, without their colon, and their values. A value is one node. In a constant, it is a
    /// length and the bytes as words.
    pub(super) fields: Vec<(&'a str, Vec<Node<'a>>)>,
}

impl<'a> Node<'a> {
    /// Parses the text of a node. `None` if it is not a node.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let mut words = Words { rest: text };
        let first = words.next()?;
        let node = read_node(first, &mut words, 0)?;
        words.next().is_none().then_some(node)
    }

    pub(super) fn as_object(&self) -> Option<&Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    pub(super) fn as_word(&self) -> Option<&str> {
        if let Self::Word(word) = self { Some(word) } else { None }
    }

    /// The direct children of this node.
    pub(super) fn children(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::Object(object) => Box::new(object.fields.iter().flat_map(|(_, values)| values)),
            Self::List(list) => Box::new(list.iter()),
            Self::Word(_) => Box::new(std::iter::empty()),
        }
    }
}

impl<'a> Object<'a> {
    /// The value of a field that is one node.
    pub(super) fn field(&self, name: &str) -> Option<&Node<'a>> {
        match self.fields.iter().find(|(field, _)| *field == name) {
            Some((_, values)) if values.len() == 1 => values.first(),
            _ => None,
        }
    }

    /// The value of a field that is a word.
    pub(super) fn word(&self, name: &str) -> Option<&str> {
        self.field(name)?.as_word()
    }

    /// The value of a field that is a number.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.word(name)?.parse().ok()
    }

    /// The entries of a field that is a list. Empty if it is null.
    pub(super) fn list(&self, name: &str) -> &[Node<'a>] {
        self.field(name).and_then(Node::as_list).unwrap_or_default()
    }

    /// The objects among the entries of a field that is a list.
    pub(super) fn objects(&self, name: &str) -> impl Iterator<Item = &Self> {
        self.list(name).iter().filter_map(Node::as_object)
    }

    /// The subquery that is the only source of this query.
    pub(super) fn only_subquery(&self) -> Option<Self> {
        let mut subqueries = self.objects("rtable").filter_map(|entry| entry.field("subquery")?.as_object());
        let subquery = subqueries.next()?;
        let is_only =
            subqueries.next().is_none() && self.objects("rtable").filter(|entry| !is_view_itself(entry)).count() == 1;
        is_only.then(|| subquery.clone())
    }
}

/// Whether the entry of a range table is one of the two for the view itself. PostgreSQL 15 puts these before the
/// entries of the query.
fn is_view_itself(entry: &Object<'_>) -> bool {
    entry.word("rtekind") == Some("0") && entry.word("inFromCl") == Some("false")
}

/// Parses the node that begins with this word.
fn read_node<'a>(first: &'a str, words: &mut Words<'a>, depth: usize) -> Option<Node<'a>> {
    if depth > MAX_DEPTH {
        return None;
    }
    match first {
        "(" => {
            let mut list = Vec::new();
            loop {
                match words.next()? {
                    ")" => return Some(Node::List(list)),
                    word => list.push(read_node(word, words, depth + 1)?),
                }
            }
        }
        "{" => {
            let mut object = Object { kind: words.next()?, fields: Vec::new() };
            let mut word = words.next()?;
            while word != "}" {
                let name = word.strip_prefix(':')?;
                // The word after the name of a field is always a value, even if it begins with a colon.
                let mut values = vec![read_node(words.next()?, words, depth + 1)?];
                word = words.next()?;
                while word != "}" && !word.starts_with(':') {
                    values.push(read_node(word, words, depth + 1)?);
                    word = words.next()?;
                }
                object.fields.push((name, values));
            }
            Some(Node::Object(object))
        }
        ")" | "}" => None,
        word => Some(Node::Word(Cow::Borrowed(word))),
    }
}

/// Splits the text into words: brackets, and runs of other characters without white space. A backslash escapes the next
/// character.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start_matches([' ', '\n', '\t']);
        let is_bracket = |byte: u8| matches!(byte, b'(' | b')' | b'{' | b'}');
        let mut bytes = text.bytes().enumerate();
        let end = loop {
            match bytes.next() {
                None => break text.len(),
                Some((0, byte)) if is_bracket(byte) => break 1,
                Some((at, byte)) if is_bracket(byte) || matches!(byte, b' ' | b'\n' | b'\t') => break at,
                Some((_, b'\\')) => {
                    bytes.next();
                }
                Some(_) => {}
            }
        };
        let (word, rest) = text.split_at_checked(end)?;
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_is_parsed_as_by_postgresql() {
        let text = r#"({VAR :name a\ \}b :colon :x :list (i 1 2) :none <> :constvalue 4 [ 1 0 ] :names ("a" "\(b")})"#;
        let node = Node::read(text).unwrap();
        let [Node::Object(object)] = node.as_list().unwrap() else { panic!("{node:?}") };
        assert_eq!(object.kind, "VAR");
        assert_eq!(object.word("name"), Some(r"a\ \}b"));
        assert_eq!(object.word("colon"), Some(":x"));
        assert_eq!(object.list("list").len(), 3);
        assert!(object.list("none").is_empty());
        assert_eq!(object.fields[4].1.len(), 5);
        assert_eq!(object.list("names")[1].as_word(), Some(r#""\(b""#));
    }

    #[test]
    fn malformed_trees_are_none() {
        for text in ["", "(", ")", "{", "{}", "{A", "{A b}", "{A :b}", "(a))", "a b", "{A :b c", "(}"] {
            assert_eq!(Node::read(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[(){}:a \\\\é\"<>]{0,60}") {
            let _ = Node::read(&text);
        }
    }
}
