//! How to reach a bucket: its address, its server, and the keys to sign in with.
//!
//! Keys come from the environment or from a file that nobody else can read, never from an
//! argument. Text that may hold a secret is not shown.

use async_trait::async_trait;
use hedgerow_cli::failure::Failure;
use hedgerow_cli::files;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::{Certificate, ClientOptions, CredentialProvider};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Position, Url};

/// How to reach a bucket.
#[derive(clap::Args, Clone, Default)]
pub struct Options {
    /// A bucket's server, where it is not Amazon's; else AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// A bucket's region; else AWS_REGION, AWS_DEFAULT_REGION, or us-east-1
    #[arg(long, value_name = "NAME")]
    region: Option<String>,
    /// A file with a bucket's keys, which nobody else can read: aws_access_key_id = … and
    /// aws_secret_access_key = …; else AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    #[arg(long, value_name = "FILE")]
    credentials: Option<PathBuf>,
    /// Reach a bucket without encryption also where its server is not this machine
    #[arg(long)]
    allow_http: bool,
}

impl Options {
    /// Checks that no option of a bucket is given with an address of NATS.
    ///
    /// # Errors
    /// `usage` if one is.
    pub fn check_unset(&self) -> Result<(), Failure> {
        let given = [
            ("--endpoint", self.endpoint.is_some()),
            ("--region", self.region.is_some()),
            ("--credentials", self.credentials.is_some()),
            ("--allow-http", self.allow_http),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Failure::usage(name, "an address s3://…", "one of NATS")),
            None => Ok(()),
        }
    }

    /// Returns the region.
    pub fn region(&self) -> String {
        let region = self.region.clone();
        let region = region.or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        region.unwrap_or_else(|| "us-east-1".into())
    }

    /// Returns the server's address, and `true` if it is unencrypted; `None` for Amazon's own.
    ///
    /// # Errors
    /// `usage` if it is not a server's address, or is unencrypted and not this machine's.
    pub fn endpoint(&self) -> Result<Option<(String, bool)>, Failure> {
        let named = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        let Some(text) = self.endpoint.clone().or(named) else {
            return Ok(None);
        };
        let wrong = |expected: &str, got: String| Err(Failure::usage(ENDPOINT, expected, got));
        let url = Url::parse(&text).ok().filter(is_server);
        let Some(url) = url else {
            let expected = "https://HOST:PORT, or http:// to this machine, without a user";
            return wrong(expected, "another".into());
        };
        let server = &url[Position::BeforeHost..Position::AfterPort];
        let is_plain = url.scheme() == "http";
        if is_plain && !self.allow_http && !is_here(&url) {
            let expected = "https:// (--allow-http sends tables and reports unencrypted)";
            return wrong(expected, format!("http://{server}"));
        }
        if is_plain
            && !is_exempt(&url)
            && let Some(name) = PROXIES.iter().find(|name| variable(&[name]).is_some())
        {
            let expected = "https://, or no HTTP_PROXY: without encryption it reads what is sent";
            return wrong(expected, format!("{name}, and http://{server}"));
        }
        Ok(Some((url[..Position::AfterPort].into(), is_plain)))
    }

    /// Adds the keys to sign in with. A file of keys is read again for each request, so that it
    /// can be replaced.
    ///
    /// # Errors
    /// `s3-keys` if there are none, or the file is not one of keys that nobody else can read.
    pub fn sign_in(&self, builder: AmazonS3Builder) -> Result<AmazonS3Builder, Failure> {
        if let Some(path) = &self.credentials {
            read(path)?;
            return Ok(builder.with_credentials(Arc::new(KeyFile(path.clone()))));
        }
        let of = |name: &str| variable(&[name]);
        let (Some(id), Some(secret)) = (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY"))
        else {
            let expected = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --credentials FILE";
            return Err(Failure::new("s3-keys", "the environment", expected, "none"));
        };
        let builder = builder
            .with_access_key_id(id)
            .with_secret_access_key(secret);
        Ok(match of("AWS_SESSION_TOKEN") {
            Some(token) => builder.with_token(token),
            None => builder,
        })
    }
}

/// What messages call the server's address.
const ENDPOINT: &str = "the bucket's server (--endpoint)";

/// Variables of the environment that send unencrypted requests through another machine.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

fn variable(names: &[&str]) -> Option<String> {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    names.iter().find_map(set)
}

/// Returns `true` if an address is a server's, and nothing more.
fn is_server(url: &Url) -> bool {
    let is_bare = url.username().is_empty() && url.password().is_none();
    let ends = &url[Position::AfterPort..];
    matches!(url.scheme(), "http" | "https") && is_bare && matches!(ends, "" | "/")
}

/// Returns `true` if a server is this machine.
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Returns `true` if the environment exempts a server from proxies, by its own name.
fn is_exempt(url: &Url) -> bool {
    let exempt = variable(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let mut names = exempt.split(',').map(str::trim);
    names.any(|name| name == "*" || Some(name) == url.host_str())
}

/// Returns the bucket and the folder of `s3://BUCKET/FOLDER`.
///
/// # Errors
/// `usage` if it is another address.
pub fn bucket(address: &str) -> Result<(&str, &str), Failure> {
    let rest = address.strip_prefix("s3://").unwrap_or_default();
    let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    let is_low = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket.bytes().next().is_some_and(is_low)
        && bucket
            .bytes()
            .all(|byte| is_low(byte) || b"-.".contains(&byte));
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_sound);
    let is_folder = folder.is_empty() || folder.split('/').all(is_part);
    match is_bucket && is_folder && folder.len() <= 512 {
        true => Ok((bucket, folder)),
        false => {
            let expected =
                "s3://BUCKET/FOLDER of letters, digits, `-`, `_` and `.`, without a user";
            // Text before an @ may be secret, and is not shown.
            Err(Failure::usage("the fleet's address", expected, "another"))
        }
    }
}

/// Returns the settings of requests: each has a time limit, and certificates that are given are
/// the only ones trusted.
///
/// # Errors
/// `ca` if the file has no certificates.
pub fn client(
    ca: Option<&Path>,
    times: [Duration; 2],
    is_plain: bool,
) -> Result<ClientOptions, Failure> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(times[0])
        .with_timeout(times[1])
        .with_allow_http(is_plain)
        .with_no_system_certificates(is_plain || ca.is_some());
    if let Some(path) = ca {
        let pem = files::read(path, files::TEXT_BYTES_MAX)?;
        let expected = "certificates in PEM";
        let failed = |got: String| Failure::new("ca", path.display(), expected, got);
        let all = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if all.is_empty() {
            return Err(failed("none".into()));
        }
        for certificate in all {
            options = options.with_root_certificate(certificate);
        }
    }
    Ok(options)
}

/// A file of keys.
#[derive(Debug)]
struct KeyFile(PathBuf);

#[async_trait]
impl CredentialProvider for KeyFile {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let keys = read(&self.0).map(Arc::new);
        keys.map_err(|failure| object_store::Error::Generic {
            store: "S3",
            source: failure.to_string().into(),
        })
    }
}

/// Reads the keys of a file that nobody else can read, in the form of Amazon's tools; of several
/// profiles, `default`.
fn read(path: &Path) -> Result<AwsCredential, Failure> {
    let text = files::read_text(path, "s3-keys", "a bucket's keys")?;
    files::check_private(path, "s3-keys")?;
    let (mut id, mut secret, mut token) = (None, None, None);
    let mut is_default = true;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            is_default = line == "[default]";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| is_default) else {
            continue;
        };
        let value = Some(value.trim().to_string()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => id = value,
            "aws_secret_access_key" => secret = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    match (id, secret) {
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential {
            key_id,
            secret_key,
            token,
        }),
        _ => {
            let expected = "aws_access_key_id = … and aws_secret_access_key = …";
            let got = "another text, which is not shown";
            Err(Failure::new("s3-keys", path.display(), expected, got))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_bucket_and_shows_no_secret() {
        assert_eq!(bucket("s3://tables").unwrap(), ("tables", ""));
        assert_eq!(
            bucket("s3://tables/edge/a.b/").unwrap(),
            ("tables", "edge/a.b")
        );
        for address in [
            "s3://",
            "s3://ab",
            "s3:///edge",
            "s3://Tables",
            "s3://tables//edge",
            "s3://tables/../other",
            "s3://tables/edge?x",
            "s3://key:hidden@tables/edge",
            "https://tables",
        ] {
            let failure = bucket(address).unwrap_err();
            assert_eq!(failure.refusal().name(), "usage", "{address}");
            assert!(!failure.to_string().contains("hidden"), "{failure:?}");
        }
    }

    #[test]
    fn without_encryption_there_is_this_machine_alone() {
        let endpoint = |url: &str, allow_http: bool| {
            let options = Options {
                endpoint: Some(url.into()),
                allow_http,
                ..Options::default()
            };
            options
                .endpoint()
                .map(Option::unwrap)
                .map_err(|failure| failure.to_string())
        };
        for url in [
            "http://127.0.0.1:1",
            "http://localhost:1/",
            "http://[::1]:1",
        ] {
            let url = url.strip_suffix('/').unwrap_or(url);
            assert_eq!(endpoint(url, false), Ok((url.into(), true)));
        }
        for url in [
            "http://10.0.0.1:1",
            "http://localhost.example:1",
            "http://127.0.0.1.example",
            "http://[::2]:1",
            "http://",
            "ftp://127.0.0.1",
            "https://key:hidden@host",
            "https://host/path",
        ] {
            let failure = endpoint(url, false).unwrap_err();
            assert!(!failure.contains("hidden"), "{failure}");
        }
        let elsewhere = ("http://10.0.0.1:1".to_string(), true);
        assert_eq!(endpoint("http://10.0.0.1:1", true), Ok(elsewhere));
        let encrypted = ("https://s3.example".to_string(), false);
        assert_eq!(endpoint("https://s3.example", false), Ok(encrypted));
    }
}
