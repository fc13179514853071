//! From a URL and options to a store.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use catalog::ErrorKind;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use super::local::LocalStore;

/// What the URL may start with, for messages.
const SCHEMES: &str = "a folder, file://, s3://, gs://, az:// or memory://";
/// A connection that takes longer is no connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// One request with its body. Parts are at most 64 MiB, so this asks for about 2 MiB/s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// All attempts of one request together: six of [`REQUEST_TIMEOUT`].
const RETRY_TIMEOUT: Duration = Duration::from_secs(180);
const RETRIES_MAX: usize = 8;

/// Where the lake lies.
#[derive(Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Empty is no store: the binary puts the node's own folder here. A folder (`./data`, `file:///var/lib/telelake`) or a bucket (`s3://bucket/prefix`, `gs://...`, `az://...`), or `memory://`.
    pub url: String,
    /// Options of the bucket, by the names of the `object_store` crate: `endpoint`, `region`, `access_key_id`, `secret_access_key`,
    /// `token`, `service_account`, `account_name` ... Ours: `path_style = "true" | "false"` for s3 (default: true with an
    /// endpoint of your own) and `auth = "keys" | "instance" | "none"`. A value `env:NAME` is read from that environment variable,
    /// a value `file:PATH` from that file, so that no secret has to stand in a configuration file.
    pub options: BTreeMap<String, String>,
}

impl fmt::Debug for StoreConfig {
    /// Names of options only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig").field("url", &self.url).field("options", &self.options.keys()).finish()
    }
}

/// Why a store could not be opened. Each message ends with what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The URL names no store.
    #[error("store url {url:?} is not valid: {reason}; use {SCHEMES}")]
    InvalidUrl {
        /// As it was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An option is unknown, or its value is.
    #[error("store option {key:?} is not valid: {reason}; correct or remove it")]
    InvalidOption {
        /// Its name.
        key: String,
        /// What is wrong; never the value.
        reason: String,
    },
    /// No way to sign requests was found.
    #[error(
        "no credentials for {url}; set options access_key_id and secret_access_key (env:NAME and file:PATH work), or auth = \"instance\" for the machine's role, or auth = \"none\" for a public bucket"
    )]
    MissingCredentials {
        /// The store.
        url: String,
    },
    /// An option points to a variable or a file that is not there.
    #[error("store option {key:?} points to {reference}, which {reason}; set it or change the option")]
    MissingReference {
        /// The option.
        key: String,
        /// `env:NAME` or `file:PATH`.
        reference: String,
        /// Why it gives no value.
        reason: String,
    },
    /// The path exists and is something else.
    #[error("{} is not a folder; choose another store url or move the file away", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The folder cannot be written.
    #[error("folder {} cannot be written ({source}); give this user write permission or choose another store url", path.display())]
    ReadOnly {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The folder cannot be made or looked into.
    #[error("folder {} cannot be opened ({source}); check the path and its permissions", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The client of the bucket could not be made.
    #[error("store {url} cannot be opened: {source}; check the url and the options")]
    Client {
        /// The store.
        url: String,
        /// Why.
        source: object_store::Error,
    },
}

impl StoreError {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::MissingCredentials { .. } | Self::ReadOnly { .. } => ErrorKind::Denied,
            _ => ErrorKind::Invalid,
        }
    }
}

/// Opens the store of `config`. A folder is created if it is not there; a bucket must exist and is not contacted yet.
///
/// `environment` holds the variables that may be used: those that options refer to with `env:NAME`, and for s3 also the usual
/// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`, `AWS_DEFAULT_REGION`, `AWS_ENDPOINT_URL`,
/// `AWS_WEB_IDENTITY_TOKEN_FILE`, `AWS_ROLE_ARN` and the container credential variables. Nothing else is read.
///
/// # Errors
/// [`StoreError`], each with what to do.
pub fn open_store(config: &StoreConfig, environment: &HashMap<String, String>) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let url = config.url.as_str();
    let Some((scheme, rest)) = url.split_once("://") else {
        return open_folder(config, url);
    };
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    match scheme {
        "file" => open_folder(config, rest),
        "memory" if config.options.is_empty() => Ok(prefixed(InMemory::new(), parse_prefix(url, rest)?)),
        "memory" => Err(refuse_options(config)),
        "s3" | "s3a" => open_s3(config, rest, environment),
        "gs" | "gcs" => open_gcs(config, rest, environment),
        "az" | "azure" | "abfs" | "abfss" => open_azure(config, rest, environment),
        other => Err(invalid_url(url, format!("unknown scheme {other:?}"))),
    }
}

fn open_folder(config: &StoreConfig, path: &str) -> Result<Arc<dyn ObjectStore>, StoreError> {
    if path.is_empty() {
        return Err(invalid_url(&config.url, "the path is empty"));
    }
    if config.url.starts_with("file://") && !path.starts_with('/') {
        return Err(invalid_url(&config.url, "a file url needs three slashes and an absolute path"));
    }
    if !config.options.is_empty() {
        return Err(refuse_options(config));
    }
    Ok(Arc::new(LocalStore::open(path)?))
}

fn open_s3(config: &StoreConfig, rest: &str, environment: &HashMap<String, String>) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let (bucket, prefix) = bucket_and_prefix(&config.url, rest)?;
    let mut options = resolve(&config.options, environment)?;
    let aws = |name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned();
    let (auth, path_style) = (options.remove("auth"), options.remove("path_style"));
    for (key, variables) in [
        ("access_key_id", &["AWS_ACCESS_KEY_ID"][..]),
        ("secret_access_key", &["AWS_SECRET_ACCESS_KEY"]),
        ("token", &["AWS_SESSION_TOKEN"]),
        ("region", &["AWS_REGION", "AWS_DEFAULT_REGION"]),
        ("endpoint", &["AWS_ENDPOINT_URL"]),
        ("aws_web_identity_token_file", &["AWS_WEB_IDENTITY_TOKEN_FILE"]),
        ("aws_role_arn", &["AWS_ROLE_ARN"]),
        ("aws_container_credentials_relative_uri", &["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]),
        ("aws_container_credentials_full_uri", &["AWS_CONTAINER_CREDENTIALS_FULL_URI"]),
        ("aws_container_authorization_token_file", &["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]),
    ] {
        // A token of the environment does not belong to a key of the configuration.
        let own_key = key == "token" && config.options.contains_key("access_key_id");
        if !options.contains_key(key) && !options.contains_key(&format!("aws_{key}")) && !own_key {
            options.extend(variables.iter().find_map(|name| aws(name)).map(|value| (key.to_owned(), value)));
        }
    }
    let has = |name: &str| options.contains_key(name) || options.contains_key(&format!("aws_{name}"));
    let signed = has("access_key_id") && has("secret_access_key");
    let role =
        has("web_identity_token_file") || has("container_credentials_relative_uri") || has("container_credentials_full_uri");
    let unsigned = check_auth(&config.url, auth.as_deref(), signed || role)?;
    let endpoint = options.get("endpoint").or_else(|| options.get("aws_endpoint")).cloned();
    let path_style = match path_style.as_deref() {
        None => endpoint.is_some(),
        Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(invalid_option("path_style", "it is true or false")),
    };
    let http = endpoint.as_deref().is_some_and(|e| e.starts_with("http://"));
    let region = has("region");
    if !region {
        options.insert("region".to_owned(), "us-east-1".to_owned());
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_client_options(client_options(http))
        .with_retry(retry())
        .with_allow_http(http)
        .with_virtual_hosted_style_request(!path_style)
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_skip_signature(unsigned);
    for (key, value) in options {
        builder = builder.with_config(parse_key::<AmazonS3ConfigKey>(&key)?, value);
    }
    let store = builder.build().map_err(|source| StoreError::Client { url: config.url.clone(), source })?;
    Ok(prefixed(store, prefix))
}

fn open_gcs(config: &StoreConfig, rest: &str, environment: &HashMap<String, String>) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let (bucket, prefix) = bucket_and_prefix(&config.url, rest)?;
    let mut options = resolve(&config.options, environment)?;
    let auth = options.remove("auth");
    let account = ["service_account", "google_service_account", "service_account_key", "google_service_account_key"];
    let mut signed = account.iter().any(|key| options.contains_key(*key));
    if let Some(file) = environment.get("GOOGLE_APPLICATION_CREDENTIALS").filter(|_| !signed) {
        options.insert("google_application_credentials".to_owned(), file.clone());
        signed = true;
    }
    let unsigned = check_auth(&config.url, auth.as_deref(), signed || options.contains_key("google_application_credentials"))?;
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_client_options(client_options(false))
        .with_retry(retry())
        .with_skip_signature(unsigned);
    for (key, value) in options {
        builder = builder.with_config(parse_key::<GoogleConfigKey>(&key)?, value);
    }
    let store = builder.build().map_err(|source| StoreError::Client { url: config.url.clone(), source })?;
    Ok(prefixed(store, prefix))
}

fn open_azure(
    config: &StoreConfig,
    rest: &str,
    environment: &HashMap<String, String>,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    let (container, prefix) = bucket_and_prefix(&config.url, rest)?;
    let mut options = resolve(&config.options, environment)?;
    let auth = options.remove("auth");
    let secrets = ["access_key", "account_key", "sas_key", "sas_token", "client_secret", "bearer_token", "federated_token_file"];
    let signed = options.keys().any(|key| secrets.contains(&key.strip_prefix("azure_storage_").unwrap_or(key)));
    let emulator = options.get("use_emulator").is_some_and(|value| value == "true");
    let unsigned = check_auth(&config.url, auth.as_deref(), signed || emulator)?;
    let http = emulator || options.get("endpoint").is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut builder = MicrosoftAzureBuilder::new()
        .with_container_name(container)
        .with_client_options(client_options(http))
        .with_retry(retry())
        .with_allow_http(http)
        .with_skip_signature(unsigned);
    for (key, value) in options {
        builder = builder.with_config(parse_key::<AzureConfigKey>(&key)?, value);
    }
    let store = builder.build().map_err(|source| StoreError::Client { url: config.url.clone(), source })?;
    Ok(prefixed(store, prefix))
}

/// Whether requests go unsigned. `found` says whether credentials were given.
fn check_auth(url: &str, auth: Option<&str>, found: bool) -> Result<bool, StoreError> {
    match auth {
        None | Some("keys") if found => Ok(false),
        None | Some("keys") => Err(StoreError::MissingCredentials { url: url.to_owned() }),
        Some("instance") => Ok(false),
        Some("none") => Ok(true),
        Some(_) => Err(invalid_option("auth", "it is keys, instance or none")),
    }
}

/// Replaces `env:NAME` and `file:PATH` by what they point to, and makes names lower case.
fn resolve(
    options: &BTreeMap<String, String>,
    environment: &HashMap<String, String>,
) -> Result<BTreeMap<String, String>, StoreError> {
    let value_of = |key: &String, value: &String| {
        let missing = |reason: String| StoreError::MissingReference { key: key.clone(), reference: value.clone(), reason };
        if let Some(name) = value.strip_prefix("env:") {
            return environment.get(name).cloned().ok_or_else(|| missing("is not set".to_owned()));
        }
        if let Some(path) = value.strip_prefix("file:") {
            let text = std::fs::read_to_string(path).map_err(|e| missing(format!("cannot be read ({e})")))?;
            return Ok(text.trim_end().to_owned());
        }
        Ok(value.clone())
    };
    options.iter().map(|(key, value)| Ok((key.to_ascii_lowercase(), value_of(key, value)?))).collect()
}

fn bucket_and_prefix<'a>(url: &str, rest: &'a str) -> Result<(&'a str, Path), StoreError> {
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(invalid_url(url, "the bucket is missing"));
    }
    if bucket.contains('@') {
        return Err(invalid_url(url, "credentials do not belong into the url; use options"));
    }
    Ok((bucket, parse_prefix(url, prefix)?))
}

fn parse_prefix(url: &str, prefix: &str) -> Result<Path, StoreError> {
    Path::parse(prefix.trim_matches('/')).map_err(|e| invalid_url(url, e.to_string()))
}

fn prefixed(store: impl ObjectStore, prefix: Path) -> Arc<dyn ObjectStore> {
    if prefix.as_ref().is_empty() { Arc::new(store) } else { Arc::new(PrefixStore::new(store, prefix)) }
}

fn client_options(allow_http: bool) -> ClientOptions {
    ClientOptions::new().with_connect_timeout(CONNECT_TIMEOUT).with_timeout(REQUEST_TIMEOUT).with_allow_http(allow_http)
}

/// The client draws each pause from `[init, 3 * last pause]`: jittered, growing, at most 15 s.
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(15), base: 3.0 },
        max_retries: RETRIES_MAX,
        retry_timeout: RETRY_TIMEOUT,
    }
}

fn parse_key<K: std::str::FromStr>(key: &str) -> Result<K, StoreError> {
    key.parse().map_err(|_| invalid_option(key, "this store has no such option"))
}

fn refuse_options(config: &StoreConfig) -> StoreError {
    let key = config.options.keys().next().map_or("", String::as_str);
    invalid_option(key, "a folder and memory have no options")
}

fn invalid_option(key: &str, reason: &str) -> StoreError {
    StoreError::InvalidOption { key: key.to_owned(), reason: reason.to_owned() }
}

fn invalid_url(url: &str, reason: impl Into<String>) -> StoreError {
    StoreError::InvalidUrl { url: url.to_owned(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_stores_or_say_what_to_do() {
        #[track_caller]
        fn check(url: &str, options: &[(&str, &str)], expected: Result<&str, &str>) {
            let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let environment = HashMap::from([("KEY".to_owned(), "k".to_owned()), ("SECRET".to_owned(), "s".to_owned())]);
            match (open_store(&StoreConfig { url: url.to_owned(), options }, &environment), expected) {
                (Ok(store), Ok(name)) => assert!(store.to_string().contains(name), "{store}"),
                (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
                (got, _) => panic!("{url}: {got:?}"),
            }
        }
        let keys = [("access_key_id", "env:KEY"), ("secret_access_key", "env:SECRET")];
        let folder = tempfile::tempdir().expect("temp dir");
        let path = folder.path().to_str().expect("utf8");
        check(path, &[], Ok("LocalStore"));
        check(&format!("file://{path}/a/b"), &[], Ok("LocalStore"));
        check("memory://", &[], Ok("InMemory"));
        check("s3://bucket/a/b", &keys, Ok("PrefixObjectStore(a/b)"));
        check("s3://bucket", &keys, Ok("AmazonS3(bucket)"));
        check("s3://bucket", &[("auth", "none")], Ok("AmazonS3(bucket)"));
        check("gs://bucket", &[("auth", "none")], Ok("GoogleCloudStorage(bucket)"));
        check("az://box", &[("account_name", "a"), ("auth", "none")], Ok("MicrosoftAzure"));
        check("s3://bucket", &[], Err("set options access_key_id"));
        check("s3://", &keys, Err("bucket is missing"));
        check("s3://a:b@bucket", &keys, Err("do not belong into the url"));
        check("ftp://x", &[], Err("use a folder, file://, s3://"));
        check("file://relative", &[], Err("three slashes"));
        check("", &[], Err("the path is empty"));
        check("s3://bucket", &[("access_key_id", "env:NOPE")], Err("is not set"));
        check("s3://bucket", &[("acces_key", "x")], Err("no credentials"));
        check("s3://bucket", &[("auth", "none"), ("acces_key", "x")], Err("no such option"));
        check(path, &[("region", "x")], Err("have no options"));
        let file = folder.path().join("file");
        std::fs::write(&file, b"x").expect("write");
        check(file.to_str().expect("utf8"), &[], Err("is not a folder"));
    }

    #[test]
    fn debug_hides_secrets() {
        let options = BTreeMap::from([("secret_access_key".to_owned(), "hunter2".to_owned())]);
        let text = format!("{:?}", StoreConfig { options, ..StoreConfig::default() });
        assert!(text.contains("secret_access_key") && !text.contains("hunter2"), "{text}");
    }
}
