//! Values of parameters as they are sent.

use std::error::Error;

use metricd_domain::ParameterValue;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// A value in text form, which PostgreSQL reads by the type of the parameter that it is for.
#[derive(Debug)]
pub(super) struct Argument<'a>(Option<&'a str>);

impl<'a> Argument<'a> {
    pub(super) fn of(value: Option<&'a ParameterValue>) -> Self {
        Self(value.map(ParameterValue::as_str))
    }
}

impl ToSql for Argument<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        let Some(text) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}
