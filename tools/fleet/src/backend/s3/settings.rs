//! How to reach a bucket: its address, its server, and what one signs in with.
//!
//! Keys come from the environment or from a file that nobody else can read, never from an
//! argument. What may hold a secret is not shown.

use hedgerow_cli::failure::Failure;
use hedgerow_cli::files;
use object_store::aws::AwsCredential;
use object_store::{Certificate, ClientOptions, CredentialProvider};
use std::future::Future;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

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
    /// Refuses what is said of a bucket where there is none.
    ///
    /// # Errors
    /// Where something is.
    pub fn only_of_s3(&self) -> Result<(), Failure> {
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

    /// The region.
    pub fn region(&self) -> String {
        let region = self.region.clone();
        let region = region.or_else(|| variable(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
        region.unwrap_or_else(|| "us-east-1".into())
    }

    /// The server, where it is not Amazon's, and whether it is reached without encryption.
    ///
    /// # Errors
    /// Where it is no address of a server, or not encrypted and not this machine.
    pub fn endpoint(&self) -> Result<Option<(String, bool)>, Failure> {
        let named = variable(&["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]);
        let Some(url) = self.endpoint.clone().or(named) else {
            return Ok(None);
        };
        let expected = "https://HOST:PORT, or http:// to this machine, without a user";
        let encrypted = url.strip_prefix("https://");
        let Some(rest) = encrypted.or_else(|| url.strip_prefix("http://")) else {
            return Err(Failure::usage(ENDPOINT, expected, "another"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() || rest.contains(['@', '?', '#', '/', '\\', ' ']) {
            return Err(Failure::usage(ENDPOINT, expected, "another"));
        }
        if encrypted.is_none() && !self.allow_http && !is_here(rest) {
            let expected = "https:// (--allow-http sends tables and reports unencrypted)";
            return Err(Failure::usage(ENDPOINT, expected, format!("http://{rest}")));
        }
        if encrypted.is_none()
            && !is_exempt(rest)
            && let Some(name) = PROXIES.iter().find(|name| variable(&[name]).is_some())
        {
            let expected = "https://, or no HTTP_PROXY: without encryption it reads what is sent";
            return Err(Failure::usage(
                ENDPOINT,
                expected,
                format!("{name}, and http://{rest}"),
            ));
        }
        let scheme = if encrypted.is_some() { "https" } else { "http" };
        Ok(Some((format!("{scheme}://{rest}"), encrypted.is_none())))
    }

    /// What one signs in with, read again for each request where it is in a file: who changes keys
    /// replaces the file.
    ///
    /// # Errors
    /// Where there is nothing, or not what it must be.
    pub fn credentials(&self) -> Result<Signer, Failure> {
        if let Some(path) = &self.credentials {
            read(path)?;
            return Ok(Signer::File(path.clone()));
        }
        let of = |name: &str| variable(&[name]);
        match (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY")) {
            (Some(key_id), Some(secret_key)) => Ok(Signer::Fixed(Arc::new(AwsCredential {
                key_id,
                secret_key,
                token: of("AWS_SESSION_TOKEN"),
            }))),
            _ => {
                let expected = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or --credentials FILE";
                Err(Failure::new("s3-keys", "the environment", expected, "none"))
            }
        }
    }
}

/// What the server's address is called.
const ENDPOINT: &str = "the bucket's server (--endpoint)";

/// Variables of the environment that send unencrypted requests by way of another machine.
const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// Whether the environment exempts a server from that.
fn is_exempt(server: &str) -> bool {
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let exempt = variable(&["NO_PROXY", "no_proxy"]).unwrap_or_default();
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let mut names = exempt.split(',').map(str::trim);
    names.any(|name| {
        let bare = name.trim_start_matches('.');
        let rest = host.strip_suffix(bare);
        let below = rest.is_some_and(|rest| rest.ends_with('.')) && !is_address;
        name == "*" || !bare.is_empty() && (bare == host || below)
    })
}

fn variable(names: &[&str]) -> Option<String> {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    names.iter().find_map(set)
}

/// Whether `HOST:PORT` is this machine.
fn is_here(server: &str) -> bool {
    let host = match server.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => server.split(':').next().unwrap_or_default(),
    };
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// The bucket and the folder of `s3://BUCKET/FOLDER`.
///
/// # Errors
/// Where it is another address.
pub fn bucket(address: &str) -> Result<(&str, &str), Failure> {
    let rest = address.strip_prefix("s3://").unwrap_or_default();
    let (bucket, folder) = rest.split_once('/').unwrap_or((rest, ""));
    let folder = folder.strip_suffix('/').unwrap_or(folder);
    let low = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_bucket = (3..=63).contains(&bucket.len())
        && bucket
            .bytes()
            .all(|byte| low(byte) || b"-.".contains(&byte))
        && bucket.bytes().next().is_some_and(low);
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(sound);
    let is_folder = folder.is_empty() || folder.split('/').all(is_part);
    match is_bucket && is_folder && folder.len() <= 512 {
        true => Ok((bucket, folder)),
        false => {
            let expected =
                "s3://BUCKET/FOLDER of letters, digits, `-`, `_` and `.`, without a user";
            // What stands before an @ may be secret, and is not shown.
            Err(Failure::usage("the fleet's address", expected, "another"))
        }
    }
}

/// How requests are made: none waits for ever, and where certificates are named, those alone are
/// trusted.
///
/// # Errors
/// Where the file is none of certificates.
pub fn client(
    ca: Option<&Path>,
    times: [Duration; 2],
    http: bool,
) -> Result<ClientOptions, Failure> {
    let mut options = ClientOptions::new()
        .with_connect_timeout(times[0])
        .with_timeout(times[1])
        .with_allow_http(http)
        .with_no_system_certificates(http || ca.is_some());
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

/// What requests are signed with.
pub enum Signer {
    /// As the environment said.
    Fixed(Arc<AwsCredential>),
    /// As the file says at the time.
    File(PathBuf),
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("what is not shown")
    }
}

type Given = object_store::Result<Arc<AwsCredential>>;

// By hand, as `async_trait` writes it.
impl CredentialProvider for Signer {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> Pin<Box<dyn Future<Output = Given> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            match self {
                Signer::Fixed(fixed) => Ok(Arc::clone(fixed)),
                Signer::File(path) => {
                    read(path)
                        .map(Arc::new)
                        .map_err(|failure| object_store::Error::Generic {
                            store: "S3",
                            source: failure.message.into(),
                        })
                }
            }
        })
    }
}

/// The keys of a file that nobody else can read, in the form that Amazon's tools write; of several
/// profiles, `default`.
fn read(path: &Path) -> Result<AwsCredential, Failure> {
    let failed =
        |expected: &str, got: String| Failure::new("s3-keys", path.display(), expected, got);
    let text = files::read_text(path, "s3-keys", "a bucket's keys")?;
    files::check_private(path, "s3-keys")?;
    let (mut key_id, mut secret_key, mut token) = (None, None, None);
    let mut mine = true;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            mine = line == "[default]";
        }
        let Some((name, value)) = line.split_once('=').filter(|_| mine) else {
            continue;
        };
        let value = Some(value.trim().to_string()).filter(|value| !value.is_empty());
        match name.trim() {
            "aws_access_key_id" => key_id = value,
            "aws_secret_access_key" => secret_key = value,
            "aws_session_token" => token = value,
            _ => {}
        }
    }
    match (key_id, secret_key) {
        (Some(key_id), Some(secret_key)) => Ok(AwsCredential {
            key_id,
            secret_key,
            token,
        }),
        _ => {
            let got = "another text, which is not shown".into();
            Err(failed(
                "aws_access_key_id = … and aws_secret_access_key = …",
                got,
            ))
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
            assert_eq!(failure.name, "usage", "{address}");
            assert!(!failure.message.contains("hidden"), "{failure:?}");
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
                .map_err(|failure| failure.message)
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
