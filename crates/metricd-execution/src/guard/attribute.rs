//! Functions of PostgreSQL that `value.name` may call.

use crate::Position;
use crate::position::PositionCursor;

/// The functions of one argument in PostgreSQL that stored SQL may not call, but `value.name` can call. In `pg_proc`,
/// they are volatile, read the catalogs or settings, or run SQL that they are given. Functions of the families in
/// [`UNARY_FUNCTION_PREFIXES`] are not listed.
const UNARY_FUNCTIONS: &str = " aclexplode amvalidate current_schemas current_setting currval gin_clean_pending_list lo_close \
    lo_creat lo_create lo_export lo_from_bytea lo_get lo_import lo_tell lo_tell64 lo_unlink nextval obj_description regclass \
    regcollation regconfig regdictionary regnamespace regoper regoperator regproc regprocedure regrole regtype \
    row_security_active setseed ts_debug ts_stat ts_token_type txid_status xml xml_is_well_formed ";

/// The prefixes of families of such functions.
const UNARY_FUNCTION_PREFIXES: [&str; 6] = ["binary_upgrade_", "brin_", "fmgr_", "pg_", "plpgsql_", "to_reg"];

/// Whether `value.name` may be a call of a function that is not allowed. Only the check of the resolved query can
/// decide: a column may have such a name, but rarely does.
pub(super) fn may_call_function(name: &str) -> bool {
    UNARY_FUNCTION_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || (!name.contains(' ') && UNARY_FUNCTIONS.contains(&format!(" {name} ")))
}

/// The token that begins at the position.
pub(super) fn token_at(text: &str, position: Position) -> &str {
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
