//! Reads what libpq takes from its surroundings if a URL leaves it out.

use std::path::{Path, PathBuf};
use std::{env, fs};

use metricd_database::ConnectionDefaults;
use secrecy::SecretString;

/// The folder of the service file of all users, if `PGSYSCONFDIR` names none: that of Debian's libpq.
const SYSTEM_FOLDER: &str = "/etc/postgresql-common";

/// The variables, and the files that they name or that lie in the home folder. Files that cannot be read are left out.
pub(super) fn defaults(home: Option<&Path>) -> ConnectionDefaults {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let named =
        |name: &str, default: &str| variable(name).map(PathBuf::from).or_else(|| home.map(|home| home.join(default)));
    let system = variable("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM_FOLDER.to_owned());
    let services = named("PGSERVICEFILE", ".pg_service.conf");
    let services = services.into_iter().chain([Path::new(&system).join("pg_service.conf")]);
    let mut defaults = ConnectionDefaults::default();
    let variables = ConnectionDefaults::variable_names();
    defaults.variables = variables.filter_map(|name| Some((name.to_owned(), variable(name)?.into()))).collect();
    defaults.service_files = services.filter_map(|path| read(&path)).collect();
    defaults.password_file =
        named("PGPASSFILE", ".pgpass").filter(|path| is_private(path)).and_then(|path| read(&path));
    defaults
}

fn read(path: &Path) -> Option<SecretString> {
    fs::read_to_string(path).ok().map(SecretString::from)
}

/// As libpq, passwords are not taken from a file that other users may read.
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    let of_others = |metadata: &fs::Metadata| metadata.permissions().mode() & 0o077;
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && of_others(&metadata) == 0)
}
