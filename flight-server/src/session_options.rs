//! The actions `SetSessionOptions`, `GetSessionOptions` and `CloseSession`.
//!
//! The messages are those of Arrow's `Flight.proto`, which arrow-flight does not carry yet.

use std::collections::HashMap;

use datafusion::prelude::SessionContext;
use prost::Message;
use tonic::Status;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptionsResult {
    /// The options that were not set, and why.
    #[prost(map = "string, message", tag = "1")]
    pub errors: HashMap<String, OptionError>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionError {
    #[prost(enumeration = "ErrorValue", tag = "1")]
    pub value: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
pub(crate) enum ErrorValue {
    Unspecified = 0,
    InvalidName = 1,
    InvalidValue = 2,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub session_options: HashMap<String, SessionOptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CloseSessionResult {
    #[prost(enumeration = "CloseStatus", tag = "1")]
    pub status: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
pub(crate) enum CloseStatus {
    Unspecified = 0,
    Closed = 1,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SessionOptionValue {
    /// None takes the option back to its default.
    #[prost(oneof = "OptionValue", tags = "1, 2, 3, 4, 5")]
    pub option_value: Option<OptionValue>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum OptionValue {
    #[prost(string, tag = "1")]
    String(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int64(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    StringList(StringList),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct StringList {
    #[prost(string, repeated, tag = "1")]
    pub values: Vec<String>,
}

/// The settings of Drift's own, and the two that JDBC sets.
fn setting(option: &str) -> Option<&str> {
    match option {
        "catalog" => Some("datafusion.catalog.default_catalog"),
        "schema" => Some("datafusion.catalog.default_schema"),
        name if name.starts_with("drift.") => Some(name),
        _ => None,
    }
}

/// Sets options in `ctx`, each for itself.
pub(crate) fn set(ctx: &SessionContext, body: &[u8]) -> Result<SetSessionOptionsResult, Status> {
    let request = SetSessionOptionsRequest::decode(body)
        .map_err(|e| Status::invalid_argument(format!("not a SetSessionOptionsRequest: {e}")))?;
    let errors = request.session_options.into_iter().filter_map(|(name, value)| {
        let error = set_one(ctx, &name, value).err()?;
        Some((name, OptionError { value: error as i32 }))
    });
    Ok(SetSessionOptionsResult { errors: errors.collect() })
}

fn set_one(ctx: &SessionContext, name: &str, value: SessionOptionValue) -> Result<(), ErrorValue> {
    let key = setting(name).ok_or(ErrorValue::InvalidName)?;
    let value = match value.option_value {
        Some(OptionValue::String(text)) => text,
        Some(OptionValue::Bool(flag)) => flag.to_string(),
        Some(OptionValue::Int64(number)) => number.to_string(),
        Some(OptionValue::Double(number)) => number.to_string(),
        Some(OptionValue::StringList(_)) | None => return Err(ErrorValue::InvalidValue),
    };
    let state = ctx.state_ref();
    let mut state = state.write();
    let options = state.config_mut().options_mut();
    if !options.entries().iter().any(|entry| entry.key == key) {
        return Err(ErrorValue::InvalidName);
    }
    options.set(key, &value).map_err(|_| ErrorValue::InvalidValue)
}

/// The options of `ctx` that [`set`] takes.
pub(crate) fn get(ctx: &SessionContext) -> GetSessionOptionsResult {
    let entries: HashMap<_, _> =
        ctx.copied_config().options().entries().into_iter().map(|e| (e.key, e.value)).collect();
    let own = entries.keys().filter(|key| key.starts_with("drift.")).map(String::as_str);
    let options = own.chain(["catalog", "schema"]).filter_map(|name| {
        let value = entries.get(setting(name)?)?.clone()?;
        Some((name.to_owned(), SessionOptionValue { option_value: Some(OptionValue::String(value)) }))
    });
    GetSessionOptionsResult { session_options: options.collect() }
}
