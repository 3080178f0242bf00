//! The time zones that a database knows, and the one of a request.

use std::collections::HashMap;

use metricd_domain::{InvalidTimeZone, TimeZone};

/// The time zones that a database knows, by their full names.
#[derive(Debug, Clone, Default)]
pub struct TimeZones {
    /// The names in lower case, with the zones as the database writes them.
    zones: HashMap<String, TimeZone>,
}

impl TimeZones {
    /// Finds the zone of this name, in the database's spelling: like PostgreSQL, it ignores case.
    ///
    /// # Errors
    ///
    /// [`InvalidTimeZone::Unknown`] if the database has no such zone.
    pub fn find(&self, zone: &TimeZone) -> Result<TimeZone, InvalidTimeZone> {
        let found = self.zones.get(&zone.as_str().to_ascii_lowercase());
        found.cloned().ok_or_else(|| InvalidTimeZone::Unknown(zone.clone()))
    }
}

impl<'a> FromIterator<&'a str> for TimeZones {
    /// The zones among these names. Others, such as abbreviations, are left out.
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        let zones = names.into_iter().filter_map(|name| TimeZone::parse(name).ok());
        Self { zones: zones.map(|zone| (zone.as_str().to_ascii_lowercase(), zone)).collect() }
    }
}

/// The time zone in which a request's statement runs: its own, or else the server's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestZone {
    zone: TimeZone,
    /// Whether sessions have to be set to it.
    differs: bool,
}

impl RequestZone {
    /// The zone that was requested, or else the server's, in which sessions begin.
    #[must_use]
    pub fn new(requested: Option<TimeZone>, server: &TimeZone) -> Self {
        let zone = requested.unwrap_or_else(|| server.clone());
        Self { differs: zone != *server, zone }
    }

    /// The zone.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The zone, unless it is the one in which sessions begin.
    #[must_use]
    pub fn differing(&self) -> Option<&TimeZone> {
        self.differs.then_some(&self.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_found_in_the_spelling_of_the_database() {
        let zones: TimeZones = ["CET", "Europe/Berlin", "UTC", "posix/Europe/Berlin"].into_iter().collect();
        let find = |name: &str| zones.find(&TimeZone::parse(name).unwrap()).map(|zone| zone.to_string());
        assert_eq!(find("EUROPE/berlin").as_deref(), Ok("Europe/Berlin"));
        assert_eq!(find("utc").as_deref(), Ok("UTC"));
        assert!(find("Europe/Atlantis").is_err());
    }

    #[test]
    fn the_zone_of_the_server_needs_no_setting() {
        let zone = |name: &str| TimeZone::parse(name).unwrap();
        let berlin = zone("Europe/Berlin");
        assert_eq!(RequestZone::new(None, &berlin).zone(), &berlin);
        assert_eq!(RequestZone::new(Some(berlin.clone()), &berlin), RequestZone::new(None, &berlin));
        let other = RequestZone::new(Some(zone("UTC")), &berlin);
        assert_eq!(other.differing(), Some(&zone("UTC")));
    }
}
