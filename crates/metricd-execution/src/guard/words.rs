//! PostgreSQL's own words.

use crate::Position;
use crate::position::PositionCursor;

/// PostgreSQL's functions that nobody should call and that take one argument, so that `value.name` calls them: those of
/// `pg_proc` that are volatile, read the catalogs or settings, or run SQL that they are given. Of the families that
/// [`FAMILIES`] names, no member stands here.
const FUNCTIONS_OF_ONE: &str = " aclexplode amvalidate current_schemas current_setting currval gin_clean_pending_list lo_close \
    lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_tell lo_tell64 lo_unlink nextval obj_description regclass \
    regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype \
    row_security_active setseed ts_debug ts_stat ts_token_type txid_status xml xml_is_well_formed ";

/// How the names of families of such functions begin.
const FAMILIES: [&str; 6] = ["binary_upgrade_", "brin_", "fmgr_", "pg_", "plpgsql_", "to_reg"];

/// Whether `value.word` may call a function that nobody should call. It is the second judgement, of what PostgreSQL has made
/// of the text, that knows for sure; a column may have such a name, but seldom does.
pub(super) fn calls_as_attribute(word: &str) -> bool {
    FAMILIES.iter().any(|start| word.starts_with(start))
        || (!word.contains(' ') && FUNCTIONS_OF_ONE.contains(&format!(" {word} ")))
}

/// The word of the text that begins at the position.
pub(super) fn at(text: &str, position: Position) -> &str {
    let offset = PositionCursor::of(text).advance(position);
    let rest = text.get(offset..).unwrap_or_default();
    if rest.starts_with(char::is_whitespace) {
        return "";
    }
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    let end = rest.find(|character| !is_part(character)).unwrap_or(rest.len());
    let end = if end == 0 { rest.chars().next().map_or(0, char::len_utf8) } else { end };
    &rest[..end]
}
