//! PostgreSQL's own words.

use crate::Place;
use crate::place::Cursor;

/// The words that PostgreSQL reserves: they name no table and no column unless in quotes. From `pg_get_keywords()`, those of
/// the categories R and T, of PostgreSQL 15 to 18.
const RESERVED: &str = " all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate \
    collation column concurrently constraint create cross current_catalog current_date current_role current_schema \
    current_time current_timestamp current_user default deferrable desc distinct do else end except false fetch for foreign \
    freeze from full grant group having ilike in initially inner intersect into is isnull join lateral leading left like \
    limit localtime localtimestamp natural not notnull null offset on only or order outer overlaps placing primary \
    references returning right select session_user similar some symmetric system_user table tablesample then to trailing \
    true union unique user using variadic verbose when where window with ";

/// Whether PostgreSQL reserves the word.
pub(crate) fn is_reserved(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    !word.contains(' ') && RESERVED.contains(&format!(" {word} "))
}

/// The word of the text that begins at the place.
pub(super) fn at(text: &str, place: Place) -> &str {
    let offset = Cursor::of(text).advance(place);
    let rest = text.get(offset..).unwrap_or_default();
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
    &rest[..end]
}
