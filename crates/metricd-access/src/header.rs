//! A token's header: the algorithm and the key that it claims to be signed with.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::InvalidToken;
use crate::unique::UniqueMap;

/// The maximum length of a key's id, in characters.
const MAX_KID_CHARS: usize = 256;

/// The members of a header that are read. Keys in the header (`jwk`, `x5c`) and URLs of keys (`jku`, `x5u`) are
/// ignored: the token's author chose them.
#[derive(Debug)]
pub(crate) struct TokenHeader {
    /// The algorithm's name.
    pub(crate) algorithm: String,
    /// The key's id.
    pub(crate) kid: Option<String>,
}

impl TokenHeader {
    /// Reads the header of a token in compact form.
    pub(crate) fn parse(token: &str) -> Result<Self, InvalidToken> {
        let parts: Vec<_> = token.split('.').collect();
        let [header, _, _] = parts.as_slice() else {
            return Err(InvalidToken::Malformed("expected three parts, with dots between them"));
        };
        let header =
            URL_SAFE_NO_PAD.decode(header).map_err(|_| InvalidToken::Malformed("the header is not base64url"))?;
        let header = serde_json::from_slice(&header);
        let UniqueMap(header) =
            header.map_err(|_| InvalidToken::Malformed("the header is not a JSON object with unique names"))?;
        // A token that marks a header member as critical must be refused by a verifier that does not understand the
        // member.
        if header.contains_key("crit") {
            return Err(InvalidToken::Malformed("the header has `crit`, which is not supported"));
        }
        let is_jwt = |typ: &Value| typ.as_str().is_some_and(is_jwt);
        if !header.get("typ").is_none_or(is_jwt) {
            return Err(InvalidToken::Malformed("the header's `typ` is neither `JWT` nor `at+jwt`"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.ok_or(InvalidToken::Malformed("the header names no algorithm"))?.to_owned();
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.chars().count() <= MAX_KID_CHARS => Some(kid.clone()),
            Some(_) => {
                return Err(InvalidToken::Malformed("the header's `kid` is not a string of at most 256 characters"));
            }
        };
        Ok(Self { algorithm, kid })
    }
}

/// Whether the type is that of an identity token (RFC 7519) or of an access token (RFC 9068). Case does not matter.
fn is_jwt(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
