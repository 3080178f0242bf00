//! TLS against a real server: every mode with every kind of certificate and of authentication. Where `psql` is installed,
//! libpq has to agree.

mod authentication;
mod certificates;
mod man_in_the_middle;
mod sentences;
mod support;
