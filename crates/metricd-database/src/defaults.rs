//! What libpq takes from variables, a service file and a password file if a URL leaves it out.

use std::fmt::{self, Write as _};

use secrecy::{ExposeSecret, SecretString};

use crate::database_url::{InvalidDatabaseUrl, given_parameters, with_parameter, without_parameter};

/// The variables of libpq that metricd knows, with the parameters that they set.
const VARIABLES: [(&str, &str); 22] = [
    ("PGAPPNAME", "application_name"),
    ("PGCHANNELBINDING", "channel_binding"),
    ("PGCONNECT_TIMEOUT", "connect_timeout"),
    ("PGDATABASE", "dbname"),
    ("PGGSSENCMODE", "gssencmode"),
    ("PGHOST", "host"),
    ("PGHOSTADDR", "hostaddr"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts"),
    ("PGOPTIONS", "options"),
    ("PGPASSWORD", "password"),
    ("PGPORT", "port"),
    ("PGSERVICE", SERVICE),
    ("PGSSLCERT", "sslcert"),
    ("PGSSLCRL", "sslcrl"),
    ("PGSSLKEY", "sslkey"),
    ("PGSSLMODE", "sslmode"),
    ("PGSSLNEGOTIATION", "sslnegotiation"),
    ("PGSSLROOTCERT", "sslrootcert"),
    ("PGSSLSNI", "sslsni"),
    ("PGTARGETSESSIONATTRS", "target_session_attrs"),
    ("PGUSER", "user"),
    ("PGREQUIRESSL", "requiressl"),
];

/// The parameter that names a section of a service file.
const SERVICE: &str = "service";

/// What a password file may have instead of a value.
const ANY: &str = "*";

/// What libpq takes from its surroundings if a URL leaves it out. The caller reads the variables and the files.
///
/// The precedence is libpq's: the URL, the service, the variables, and for the password the password file.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ConnectionDefaults {
    /// The variables, such as `PGSSLROOTCERT`, with their values.
    pub variables: Vec<(String, SecretString)>,
    /// The contents of the service files, in the order in which they are searched.
    pub service_files: Vec<SecretString>,
    /// The content of the password file.
    pub password_file: Option<SecretString>,
}

/// Why a URL cannot be completed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDefaults {
    /// No service file has the section.
    #[error(
        "the service `{0}` is in no service file: add a section `[{0}]` to `~/.pg_service.conf`, or name the file in PGSERVICEFILE"
    )]
    NoService(String),
    /// A line of the section is not understood.
    #[error(
        "line {line} of the service file, in the section `[{service}]`, is not understood: expected `parameter=value`, without spaces around `=`, with a parameter of the URL"
    )]
    Service {
        /// The section.
        service: String,
        /// The number of the line in its file.
        line: usize,
    },
}

impl ConnectionDefaults {
    /// The variables that libpq would read. Others are ignored.
    pub fn variable_names() -> impl Iterator<Item = &'static str> {
        VARIABLES.iter().map(|(name, _)| *name)
    }

    /// The URL with what it leaves out.
    ///
    /// # Errors
    ///
    /// [`InvalidDatabaseUrl`] of the URL or of the service.
    pub(crate) fn complete(&self, url: &SecretString) -> Result<SecretString, InvalidDatabaseUrl> {
        let mut url = url.expose_secret().to_owned();
        let given = given_parameters(&url)?;
        let service = given.iter().rfind(|(name, _)| name == SERVICE).map(|(_, value)| value.clone());
        url = without_parameter(&url, SERVICE);
        if let Some(service) = service.or_else(|| self.variable(SERVICE)) {
            for (name, value) in self.section(&service)? {
                complete(&mut url, &name, &value)?;
            }
        }
        for (_, name) in VARIABLES.into_iter().filter(|(_, name)| *name != SERVICE) {
            if let Some(value) = self.variable(name) {
                complete(&mut url, name, &value)?;
            }
        }
        if let Some(password) = self.password(&url)? {
            complete(&mut url, "password", &password)?;
        }
        Ok(url.into())
    }

    /// The value of the variable that sets the parameter.
    fn variable(&self, parameter: &str) -> Option<String> {
        let (variable, _) = VARIABLES.into_iter().find(|(_, name)| *name == parameter)?;
        let (_, value) = self.variables.iter().find(|(name, _)| name == variable)?;
        Some(value.expose_secret().to_owned()).filter(|value| !value.is_empty())
    }

    /// The parameters of the first section of this name.
    fn section(&self, service: &str) -> Result<Vec<(String, String)>, InvalidDefaults> {
        for file in &self.service_files {
            let mut parameters = Vec::new();
            let mut is_found = false;
            for (index, line) in file.expose_secret().lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                if let Some(name) = line.strip_prefix('[') {
                    if is_found {
                        break;
                    }
                    is_found = name.strip_suffix(']') == Some(service);
                    continue;
                }
                if is_found {
                    let malformed = || InvalidDefaults::Service { service: service.to_owned(), line: index + 1 };
                    let (name, value) = line.split_once('=').ok_or_else(malformed)?;
                    let is_known = name != SERVICE && crate::database_url::is_parameter(name);
                    if !is_known || value.starts_with(' ') {
                        return Err(malformed());
                    }
                    parameters.push((name.to_owned(), value.to_owned()));
                }
            }
            if is_found {
                return Ok(parameters);
            }
        }
        Err(InvalidDefaults::NoService(service.to_owned()))
    }

    /// The password of the password file for the URL, which has none.
    fn password(&self, url: &str) -> Result<Option<String>, InvalidDatabaseUrl> {
        let Some(file) = &self.password_file else { return Ok(None) };
        let given = given_parameters(url)?;
        let value = |parameter: &str| {
            given.iter().rfind(|(name, value)| name == parameter && !value.is_empty()).map(|(_, value)| value.as_str())
        };
        let first = |list: &str| list.split(',').next().unwrap_or_default().to_owned();
        let host = value("host").or_else(|| value("hostaddr")).map_or_else(|| "localhost".to_owned(), first);
        let port = value("port").map_or_else(|| "5432".to_owned(), first);
        let wanted = [host.as_str(), &port, value("dbname").unwrap_or_default(), value("user").unwrap_or_default()];
        let lines = file.expose_secret().lines().filter(|line| !line.starts_with('#'));
        Ok(lines.map(fields).find_map(|fields| {
            let (password, keys) = fields.split_last().filter(|(_, keys)| keys.len() == wanted.len())?;
            let is_match = keys.iter().zip(wanted).all(|(key, wanted)| key == ANY || unescaped(key) == wanted);
            is_match.then(|| unescaped(password))
        }))
    }
}

/// The first five fields of a line of a password file, still escaped: the last ends at a colon as well.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut is_escaped = false;
    for character in line.chars() {
        if character == ':' && !is_escaped {
            if fields.len() == 5 {
                break;
            }
            fields.push(String::new());
            continue;
        }
        is_escaped = character == '\\' && !is_escaped;
        if let Some(field) = fields.last_mut() {
            field.push(character);
        }
    }
    fields
}

fn unescaped(field: &str) -> String {
    let mut characters = field.chars();
    let mut text = String::new();
    while let Some(character) = characters.next() {
        text.extend(if character == '\\' { characters.next() } else { Some(character) });
    }
    text
}

/// Adds the parameter unless the URL has it.
fn complete(url: &mut String, name: &str, value: &str) -> Result<(), InvalidDatabaseUrl> {
    // The forerunner of `sslmode`, which has precedence.
    let (name, value) = match name {
        "requiressl" if value == "1" => ("sslmode", "require"),
        "requiressl" => return Ok(()),
        name => (name, value),
    };
    if !given_parameters(url)?.iter().any(|(given, value)| given == name && !value.is_empty()) {
        *url = with_parameter(url, name, value);
    }
    Ok(())
}

impl fmt::Debug for ConnectionDefaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = String::new();
        for (name, _) in &self.variables {
            write!(names, " {name}")?;
        }
        write!(formatter, "ConnectionDefaults({})", names.trim_start())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &str = "# services\n[other]\nhost=elsewhere\n\n  [mine]  \nhost=db.example\nport=6000\nuser=ann\nsslmode=verify-ca\n[mine]\nhost=never\n[broken]\nhost = x\n";
    const PASSWORDS: &str = "# host:port:database:user:password\nshort:line\ndb.example:6000:m:ann:of\\:6000\\\\\n*:*:*:ann:any:rest\nlocalhost:5432:m:bob:of bob\n/run:*:*:*:of the socket\n";

    fn complete(url: &str, variables: &[(&str, &str)]) -> Result<String, InvalidDatabaseUrl> {
        let defaults = ConnectionDefaults {
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect(),
            service_files: vec!["[first]\nhost=first\n".into(), SERVICES.into()],
            password_file: Some(PASSWORDS.into()),
        };
        defaults.complete(&url.into()).map(|url| url.expose_secret().to_owned())
    }

    #[test]
    fn the_url_comes_before_the_service_and_that_before_the_variables() {
        let all =
            [("PGSERVICE", "mine"), ("PGHOST", "of-variable"), ("PGDATABASE", "m"), ("PGUSER", "bob"), ("PGPORT", "7")];
        assert_eq!(
            complete("postgres://", &all).unwrap(),
            "postgres://?host=db%2Eexample&port=6000&user=ann&sslmode=verify%2Dca&dbname=m&password=of%3A6000%5C"
        );
        assert_eq!(
            complete("postgres://eve:pw@h/n?sslmode=require", &all).unwrap(),
            "postgres://eve:pw@h:6000/n?sslmode=require"
        );
        assert_eq!(
            complete("postgres://eve:pw@h:1,g/n?service=first", &all[4..]).unwrap(),
            "postgres://eve:pw@h:1,g:7/n"
        );
        assert_eq!(
            complete("postgres://eve:pw@h:1/n", &[("PGREQUIRESSL", "1")]).unwrap(),
            "postgres://eve:pw@h:1/n?sslmode=require"
        );
        let both = [("PGREQUIRESSL", "1"), ("PGSSLMODE", "disable"), ("PGSSLCERT", "")];
        assert_eq!(complete("postgres://eve:pw@h:1/n", &both).unwrap(), "postgres://eve:pw@h:1/n?sslmode=disable");
    }

    #[test]
    fn the_first_line_of_the_password_file_that_fits_counts() {
        let password = |url: &str| {
            let url = complete(url, &[]).unwrap();
            given_parameters(&url).unwrap().into_iter().find(|(name, _)| name == "password").map(|(_, value)| value)
        };
        assert_eq!(password("postgres://ann@db.example:6000/m").as_deref(), Some("of:6000\\"));
        assert_eq!(password("postgres://ann@db.example/m").as_deref(), Some("any"));
        assert_eq!(password("postgres://bob@localhost/m").as_deref(), Some("of bob"));
        assert_eq!(password("postgres://bob@127.0.0.1/m"), None, "names are compared as they are written");
        assert_eq!(password("postgres://bob@/m?host=%2Frun").as_deref(), Some("of the socket"));
        assert_eq!(password("postgres://ann:own@db.example:6000/m").as_deref(), Some("own"));
        assert_eq!(password("postgres://eve@db.example:6000/m"), None);
    }

    #[test]
    fn says_what_is_wrong_with_a_service() {
        let error = |service: &str| complete(&format!("postgres://ann@/m?service={service}"), &[]).unwrap_err();
        assert_eq!(error("none"), InvalidDefaults::NoService("none".to_owned()).into());
        assert_eq!(error("broken"), InvalidDefaults::Service { service: "broken".to_owned(), line: 13 }.into());
        assert_eq!(complete("mysql://x", &[]).unwrap_err(), InvalidDatabaseUrl::Syntax);
    }

    #[test]
    fn secrets_are_not_shown() {
        let defaults = ConnectionDefaults {
            variables: vec![("PGPASSWORD".to_owned(), "s3cret".into())],
            password_file: Some("*:*:*:*:s3cret".into()),
            ..ConnectionDefaults::default()
        };
        assert_eq!(format!("{defaults:?}"), "ConnectionDefaults(PGPASSWORD)");
    }
}
