//! The parameters of a metric: what a request may set.

mod declaration;
mod name;
mod value;

pub use declaration::{InvalidParameter, Parameter, ParameterDeclaration};
pub use name::{InvalidParameterName, MAX_PARAMETER_NAME_CHARS, ParameterName};
pub use value::{InvalidParameterValue, ParameterType, ParameterValue, ScalarType};
