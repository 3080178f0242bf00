//! Content codings, and their negotiation.

use actix_web::http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// The value of `Content-Encoding`.
    pub(super) fn name(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }

    /// The coding with the highest weight in `Accept-Encoding` (RFC 9110, section 12.5.3), zstd if both are equal;
    /// `None` for identity.
    pub(super) fn negotiate(headers: &HeaderMap) -> Option<Self> {
        let (mut gzip, mut zstd, mut any, mut identity) = (None, None, None, None);
        for value in headers.get_all(ACCEPT_ENCODING) {
            for member in value.to_str().unwrap_or_default().split(',') {
                let (name, weight) = weighted(member);
                let of_name = match name {
                    name if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => &mut gzip,
                    name if name.eq_ignore_ascii_case("zstd") => &mut zstd,
                    name if name.eq_ignore_ascii_case("identity") => &mut identity,
                    "*" => &mut any,
                    _ => continue,
                };
                *of_name = Some(weight);
            }
        }
        let (gzip, zstd) = (gzip.or(any).unwrap_or(0), zstd.or(any).unwrap_or(0));
        let (coding, weight) = if zstd >= gzip { (Self::Zstd, zstd) } else { (Self::Gzip, gzip) };
        // Identity is always acceptable, but rarely preferred.
        (weight > 0 && weight >= identity.unwrap_or(0)).then_some(coding)
    }
}

/// A coding's name and its weight in thousandths. An invalid weight is 0.
fn weighted(member: &str) -> (&str, u16) {
    let (name, parameters) = member.split_once(';').unwrap_or((member, ""));
    let weight = match parameters.split_once('=') {
        Some((q, weight)) if q.trim().eq_ignore_ascii_case("q") => thousandths(weight.trim()),
        Some(_) => 0,
        None => 1000,
    };
    (name.trim(), weight)
}

fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let is_weight = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    match whole {
        "1" if is_weight && fraction.bytes().all(|byte| byte == b'0') => 1000,
        "0" if is_weight => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_coding_with_the_highest_weight_is_used() {
        use Coding::{Gzip, Zstd};
        let cases: [(&[&str], Option<Coding>); 20] = [
            (&[], None),
            (&[""], None),
            (&["identity"], None),
            (&["br"], None),
            (&["gzip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["GZIP;Q=1.0"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate, br"], Some(Gzip)),
            (&["gzip", "zstd;q=0.9"], Some(Gzip)),
            (&["gzip;q=0.8, zstd;q=0.801"], Some(Zstd)),
            (&["*"], Some(Zstd)),
            (&["*;q=0.5, zstd;q=0"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=0.000"], None),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip, identity;q=0.5"], Some(Gzip)),
            (&["gzip;q=2"], None),
            (&["gzip;q=0.1234"], None),
            (&["gzip;level=9"], None),
        ];
        for (accept, expected) in cases {
            let mut request = TestRequest::default();
            for value in accept {
                request = request.append_header((ACCEPT_ENCODING, *value));
            }
            assert_eq!(Coding::negotiate(request.to_http_request().headers()), expected, "{accept:?}");
        }
    }
}
