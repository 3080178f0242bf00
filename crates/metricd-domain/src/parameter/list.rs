//! The parameters of one metric.

use std::ops::Deref;

use serde::{Deserialize, Serialize};

use super::{Parameter, ParameterName};

/// The parameters that a metric declares, in their order. Their names are unique.
///
/// It dereferences to a slice. In JSON it is an array of declarations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Parameter>", into = "Vec<Parameter>")]
pub struct Parameters(Vec<Parameter>);

/// Two parameters have the same name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the parameter `{0}` is declared twice")]
pub struct RepeatedParameter(pub ParameterName);

impl Parameters {
    /// Makes a list of parameters, in their order.
    ///
    /// ```
    /// use metricd_domain::{Parameter, ParameterDeclaration, Parameters};
    ///
    /// let day = Parameter::try_from(ParameterDeclaration::new("day", "date"))?;
    /// assert_eq!(Parameters::new([day.clone()])?.len(), 1);
    /// let error = Parameters::new([day.clone(), day]).unwrap_err();
    /// assert_eq!(error.to_string(), "the parameter `day` is declared twice");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RepeatedParameter`] if two parameters have the same name.
    pub fn new(parameters: impl IntoIterator<Item = Parameter>) -> Result<Self, RepeatedParameter> {
        let mut all = Self::default();
        for parameter in parameters {
            all.push(parameter)?;
        }
        Ok(all)
    }

    /// Appends a parameter.
    ///
    /// # Errors
    ///
    /// [`RepeatedParameter`] if the list has a parameter of that name. The list is unchanged then.
    pub fn push(&mut self, parameter: Parameter) -> Result<(), RepeatedParameter> {
        if self.iter().any(|other| other.name() == parameter.name()) {
            return Err(RepeatedParameter(parameter.name().clone()));
        }
        self.0.push(parameter);
        Ok(())
    }

    /// Whether the metric declares no parameters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Deref for Parameters {
    type Target = [Parameter];

    fn deref(&self) -> &[Parameter] {
        &self.0
    }
}

impl TryFrom<Vec<Parameter>> for Parameters {
    type Error = RepeatedParameter;

    fn try_from(parameters: Vec<Parameter>) -> Result<Self, RepeatedParameter> {
        Self::new(parameters)
    }
}

impl From<Parameters> for Vec<Parameter> {
    fn from(parameters: Parameters) -> Self {
        parameters.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deserialization_refuses_a_repeated_name() {
        let one = r#"[{"name":"day","type":"date"},{"name":"Day","type":"date"}]"#;
        let parameters: Parameters = serde_json::from_str(one).unwrap();
        assert_eq!(serde_json::to_string(&parameters).unwrap(), one);
        let two = one.replace("Day", "day");
        assert!(serde_json::from_str::<Parameters>(&two).unwrap_err().to_string().contains("declared twice"));
    }
}
