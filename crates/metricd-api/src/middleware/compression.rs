//! Compresses responses, if that is worthwhile and the client accepts it.
//!
//! actix-web's own middleware buffers input until its encoder has enough, so the first rows of a stream would wait for
//! the last. It also compresses bodies of any size and type, each on another thread.

mod body;
mod coding;
mod encoder;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ResponseHead, ServiceResponse};
use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, VARY,
};
use actix_web::http::{StatusCode, Version};

use self::body::CompressedBody;
use self::coding::Coding;
use self::encoder::encode;

/// Smaller bodies fit into a packet, so compression gains nothing.
const MIN_COMPRESSED_BYTES: u64 = 1 << 10;

/// Larger bodies are compressed while they are sent, and lose their `Content-Length`.
const MAX_BUFFERED_BYTES: usize = 64 << 10;

/// Compresses the body if that is worthwhile and the client accepts it. Otherwise reads only a few headers.
pub(super) fn compress(mut response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let is_unchanged = response.status() == StatusCode::NOT_MODIFIED;
    if is_unchanged || is_compressible(&response) {
        // The response depends on the header, whether it is present or not.
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    // Without chunked transfer coding a client could not tell an aborted body from a complete one.
    if is_unchanged || response.request().version() < Version::HTTP_11 {
        return response;
    }
    let Some(coding) = Coding::negotiate(response.request().headers()) else { return response };
    if is_compressible(&response) { response.map_body(|head, body| encoded(head, body, coding)) } else { response }
}

fn is_compressible(response: &ServiceResponse<BoxBody>) -> bool {
    let is_large = match response.response().body().size() {
        BodySize::Stream => true,
        BodySize::Sized(size_bytes) => size_bytes >= MIN_COMPRESSED_BYTES,
        BodySize::None => false,
    };
    let headers = response.headers();
    let gains = || headers.get(CONTENT_TYPE).is_some_and(|value| gains_from_coding(value.as_bytes()));
    let must_not_change = || {
        let no_transform = |value: &HeaderValue| value.to_str().is_ok_and(|value| value.contains("no-transform"));
        headers.contains_key(CONTENT_ENCODING)
            || headers.contains_key(CONTENT_RANGE)
            // A strong ETag identifies these exact bytes, and a weak one could not be used in `If-Match`.
            || headers.get(ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"))
            || headers.get_all(CACHE_CONTROL).any(no_transform)
    };
    is_large && gains() && !must_not_change()
}

/// Whether a body of this type gains from compression: texts, and Arrow, whose values are not compressed.
fn gains_from_coding(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.starts_with(b"text/")
        || essence.ends_with(b"+json")
        || essence.ends_with(b"+xml")
        || matches!(
            essence,
            b"application/json"
                | b"application/x-ndjson"
                | b"application/javascript"
                | b"application/vnd.apache.arrow.stream"
        )
}

fn encoded(head: &mut ResponseHead, body: BoxBody, coding: Coding) -> BoxBody {
    let encoded = match body.try_into_bytes() {
        Ok(bytes) if bytes.len() <= MAX_BUFFERED_BYTES => match encode(coding, &bytes) {
            Ok(encoded) if encoded.len() < bytes.len() => BoxBody::new(encoded),
            // Compression gained nothing, or the encoder had no memory.
            _ => return BoxBody::new(bytes),
        },
        Ok(bytes) => CompressedBody::of_bytes(coding, bytes).boxed(),
        Err(stream) => CompressedBody::of_stream(coding, stream).boxed(),
    };
    let headers = head.headers_mut();
    headers.insert(CONTENT_ENCODING, coding.name());
    headers.remove(CONTENT_LENGTH);
    encoded
}

#[cfg(test)]
mod tests;
