//! A token's header: which algorithm and which key it says that it was signed by.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::Refusal;
use crate::unique::UniqueMap;

/// The greatest length of a key's id.
const MAX_KID_CHARS: usize = 256;

/// What is read of a header. Keys that it brings along (`jwk`, `x5c`) or names the place of (`jku`, `x5u`) are not looked at:
/// whoever has made the token has made these.
#[derive(Debug)]
pub(crate) struct TokenHeader {
    /// The algorithm's name.
    pub(crate) algorithm: String,
    /// The key's id.
    pub(crate) kid: Option<String>,
}

impl TokenHeader {
    /// Reads the header of a token in its compact form.
    pub(crate) fn of(token: &str) -> Result<Self, Refusal> {
        let parts: Vec<_> = token.split('.').collect();
        let [header, _, _] = parts.as_slice() else {
            return Err(Refusal::Malformed("expected three parts, with dots between them"));
        };
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal::Malformed("the header is not base64url"))?;
        let header = serde_json::from_slice(&header);
        let UniqueMap(header) =
            header.map_err(|_| Refusal::Malformed("the header is no JSON object whose names are unique"))?;
        // Whoever marks a member as critical wants a token refused where that is not understood.
        if header.contains_key("crit") {
            return Err(Refusal::Malformed("the header has `crit`, which is not supported"));
        }
        let is_jwt = |typ: &Value| typ.as_str().is_some_and(is_jwt);
        if !header.get("typ").is_none_or(is_jwt) {
            return Err(Refusal::Malformed("the header's `typ` is another than `JWT` or `at+jwt`"));
        }
        let algorithm = header.get("alg").and_then(Value::as_str);
        let algorithm = algorithm.ok_or(Refusal::Malformed("the header names no algorithm"))?.to_owned();
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) if kid.chars().count() <= MAX_KID_CHARS => Some(kid.clone()),
            Some(_) => return Err(Refusal::Malformed("the header's `kid` is no short text")),
        };
        Ok(Self { algorithm, kid })
    }
}

/// The types of tokens that say who somebody is (RFC 7519), or what he may (RFC 9068). Case does not count.
fn is_jwt(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}
