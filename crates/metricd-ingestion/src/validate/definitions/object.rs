//! Objects of a definitions file, with their locations.

use metricd_domain::Location;

use crate::Reason;
use crate::findings::Findings;
use crate::json::{Json, snake_case};

/// The location of a JSON pointer (RFC 6901) in a file. The empty pointer is the whole document.
pub(super) fn at_pointer(file: &str, pointer: &str) -> Location {
    Location { file: file.to_owned(), pointer: Some(pointer.to_owned()), ..Location::default() }
}

/// An object, with its location.
#[derive(Debug, Clone)]
pub(super) struct Object<'a> {
    pub(super) file: &'a str,
    pub(super) pointer: String,
    pub(super) members: &'a [(String, Json)],
}

impl<'a> Object<'a> {
    pub(super) fn new(file: &'a str, pointer: String, members: &'a [(String, Json)]) -> Self {
        Self { file, pointer, members }
    }

    /// The first value under the key.
    pub(super) fn get(&self, key: &str) -> Option<&'a Json> {
        self.members.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    pub(super) fn here(&self) -> Location {
        at_pointer(self.file, &self.pointer)
    }

    pub(super) fn pointer_to(&self, key: &str) -> String {
        format!("{}/{}", self.pointer, key.replace('~', "~0").replace('/', "~1"))
    }

    pub(super) fn at(&self, key: &str) -> Location {
        at_pointer(self.file, &self.pointer_to(key))
    }

    /// The location of a value inside a member, by the remainder of its pointer.
    pub(super) fn under(&self, path: &str) -> Location {
        at_pointer(self.file, &format!("{}/{path}", self.pointer))
    }

    pub(super) fn refuse_type(&self, key: &str, expected: &str, found: &Json, findings: &mut Findings) {
        let message = format!("`{key}` is {}: expected {expected}", found.type_name());
        findings.refuse(self.at(key), Some(&found.shown()), Reason::TypeMismatch, message);
    }

    /// Reports each unknown key, with the known key that was probably meant.
    pub(super) fn notice_unknown_keys(&self, known: &[&str], findings: &mut Findings) {
        for (key, _) in self.members.iter().filter(|(key, _)| !known.contains(&key.as_str())) {
            let meant = self.similar(key, known).map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
            let message = format!("the key `{key}` is unknown and was skipped{meant}");
            findings.notice(self.at(key), Reason::KeyUnknown, message);
        }
    }

    /// The known key that is similar to `key`, unless the object has it in either spelling.
    fn similar<'k>(&self, key: &str, known: &[&'k str]) -> Option<&'k str> {
        let is_similar =
            |meant: &str| strsim::normalized_damerau_levenshtein(&key.to_lowercase(), &meant.to_lowercase()) >= 0.7;
        let is_present = |meant: &str| self.members.iter().any(|(name, _)| snake_case(name) == snake_case(meant));
        known.iter().find(|meant| !is_present(meant) && is_similar(meant)).copied()
    }

    /// The spelling of the key that the object uses: the one with a value, or else the first.
    pub(super) fn spelling<'k>(&self, [first, second]: [&'k str; 2]) -> &'k str {
        let has_value = |key: &str| self.get(key).is_some_and(|value| *value != Json::Null);
        if !has_value(first) && (has_value(second) || !self.has(first) && self.has(second)) { second } else { first }
    }

    /// Whether both spellings of a key have values, and these differ. If so, they are refused. Null is not a value.
    pub(super) fn refuse_contradiction(
        &self,
        [first, second]: [&str; 2],
        reason: Reason,
        findings: &mut Findings,
    ) -> bool {
        let (Some(value), Some(other)) = (self.get(first), self.get(second)) else { return false };
        if value == other || [value, other].contains(&&Json::Null) {
            return false;
        }
        let message = format!("`{first}` and `{second}` are spellings of one key but have different values: use one");
        findings.refuse(self.at(second), Some(&other.shown()), reason, message);
        true
    }

    /// Refuses each known key that is repeated, and returns whether there is one.
    pub(super) fn refuse_repeated_keys(&self, known: &[&str], findings: &mut Findings) -> bool {
        let mut any = false;
        for key in known {
            let values: Vec<_> = self.members.iter().filter(|(name, _)| name == key).map(|(_, value)| value).collect();
            if let [_, again, ..] = values.as_slice() {
                let message = format!("the object has the key `{key}` {} times", values.len());
                findings.refuse(self.at(key), Some(&again.shown()), Reason::KeyRepeated, message);
                any = true;
            }
        }
        any
    }
}
