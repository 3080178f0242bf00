//! The time zone of a request.

use metricd_domain::{TIME_ZONE, TimeZone};
use metricd_execution::RequestZone;

use crate::extract::query_string::QueryString;
use crate::{ApiState, Problem};

/// Takes the time zone, or else the server's. Records a fault if the database does not know it.
///
/// # Errors
///
/// The problem of reading the zones that the database knows.
pub(crate) async fn take_time_zone(query: &mut QueryString<'_>, state: &ApiState) -> Result<RequestZone, Problem> {
    let requested = match query.take(TIME_ZONE, TimeZone::parse) {
        None => None,
        Some(named) => match state.time_zones().await?.find(&named) {
            Ok(known) => Some(known),
            Err(error) => {
                query.error(TIME_ZONE, error.to_string());
                None
            }
        },
    };
    Ok(RequestZone::new(requested, &state.time_zone))
}
