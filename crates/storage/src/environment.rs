//! What the environment says about object stores: endpoints and credentials, by the names their
//! own tools use. `docs/object-stores.md` lists them.

use std::env;

use opendal::services::{Azblob, Gcs, S3};

use crate::{Error, Result};

/// The client reads credentials and `AWS_ENDPOINT_URL` itself.
pub(crate) fn s3(bucket: &str) -> Result<S3> {
    if variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).is_none() {
        return Err(Error::Invalid(format!("the region of s3://{bucket} is unknown: set AWS_REGION")));
    }
    Ok(S3::default().bucket(bucket))
}

/// The client reads `GOOGLE_APPLICATION_CREDENTIALS` itself; an emulator asks for none.
pub(crate) fn gcs(bucket: &str) -> Gcs {
    let service = Gcs::default().bucket(bucket);
    match variable("STORAGE_EMULATOR_HOST") {
        Some(host) if host.contains("://") => service.endpoint(&host).skip_signature(),
        Some(host) => service.endpoint(&format!("http://{host}")).skip_signature(),
        None => service,
    }
}

/// A connection string says everything; else the account's name gives the endpoint, and what is not
/// in a variable (a managed identity) the client finds out itself.
pub(crate) fn azblob(container: &str) -> Result<Azblob> {
    if let Some(connection) = variable("AZURE_STORAGE_CONNECTION_STRING") {
        let service = Azblob::from_connection_string(&connection)
            .map_err(|e| Error::Invalid(format!("AZURE_STORAGE_CONNECTION_STRING cannot be: {e}")))?;
        return Ok(service.container(container));
    }
    let Some(account) = variable("AZURE_STORAGE_ACCOUNT_NAME") else {
        return Err(Error::Invalid(format!(
            "the account of azblob://{container} is unknown: \
             set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"
        )));
    };
    let endpoint =
        variable("AZURE_STORAGE_ENDPOINT").unwrap_or_else(|| format!("https://{account}.blob.core.windows.net"));
    let mut service = Azblob::default().container(container).endpoint(&endpoint).account_name(&account);
    if let Some(key) = variable("AZURE_STORAGE_ACCOUNT_KEY") {
        service = service.account_key(&key);
    }
    if let Some(token) = variable("AZURE_STORAGE_SAS_TOKEN") {
        service = service.sas_token(&token);
    }
    Ok(service)
}

/// An empty variable counts as none.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
