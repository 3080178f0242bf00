//! Parameters of a metric: their names, types, declarations and values.

mod declaration;
mod list;
mod name;
mod scalar;
mod value;

pub use declaration::{InvalidParameter, Parameter, ParameterDeclaration};
pub use list::{Parameters, RepeatedParameter};
pub use name::{END_DATE, InvalidParameterName, MAX_PARAMETER_NAME_CHARS, ParameterName, START_DATE, TIME_ZONE};
pub use scalar::ScalarType;
pub use value::{InvalidParameterValue, ParameterType, ParameterValue};
