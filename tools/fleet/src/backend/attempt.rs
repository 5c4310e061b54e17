//! Attempts of an operation, repeated until one succeeds or the time is up.

use super::failed;
use backon::{ExponentialBuilder, Retryable};
use hedgerow_cli::failure::Failure;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// Why an attempt did not succeed.
pub enum AttemptError {
    /// The same may succeed a little later.
    Transient(String),
    /// The same fails again.
    Final(Failure),
}

impl<E: std::error::Error> From<E> for AttemptError {
    fn from(error: E) -> AttemptError {
        AttemptError::Transient(error.to_string())
    }
}

/// Pauses between attempts: the first, and the longest.
pub const PAUSES: [Duration; 2] = [Duration::from_millis(25), Duration::from_millis(400)];

/// Makes attempts until one succeeds, fails for good, or the time is up. An attempt that gives no
/// answer is abandoned after its own time: when a server dies, its clients' requests hang.
///
/// # Errors
/// The failure of the last attempt; `fleet-store` if the time is up.
pub async fn repeat<T, Fut>(
    what: &str,
    within: Duration,
    attempt: Duration,
    mut make: impl FnMut() -> Fut,
) -> Result<T, Failure>
where
    Fut: Future<Output = Result<T, AttemptError>>,
{
    let unanswered = || "no answer in time".to_string();
    let mut last = unanswered();
    let pauses = ExponentialBuilder::new()
        .with_min_delay(PAUSES[0])
        .with_max_delay(PAUSES[1])
        .without_max_times();
    let attempts = || {
        let made = timeout(attempt, make());
        async move {
            made.await
                .unwrap_or_else(|_| Err(AttemptError::Transient(unanswered())))
        }
    };
    let repeated = attempts
        .retry(pauses)
        .when(|error| matches!(error, AttemptError::Transient(_)))
        .notify(|error, _| {
            if let AttemptError::Transient(why) = error {
                last.clone_from(why);
            }
        });
    let last = match timeout(within, repeated).await {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(AttemptError::Final(failure))) => return Err(failure),
        Ok(Err(AttemptError::Transient(why))) => why,
        Err(_) => last,
    };
    let expected = format!("it done within {} s", within.as_secs_f64());
    Err(failed(what, &expected, last))
}
