//! Replays recorded requests through the traffic windows, in the order of their times.

use crate::failure::Failure;
use crate::requests::Recorded;
use hedgerow::limits::TRAFFIC_CLIENTS_MAX;
use hedgerow::traffic::{ClientKey, FEATURES, Facts, Windows};
use std::net::IpAddr;

/// The traffic features of one request.
pub type Values = [f32; FEATURES.len()];

/// The traffic features of each request, in the file's order, as one core would have seen them
/// all. They are missing where time or client are not known. The same requests give the same
/// values.
pub fn replay(requests: &[Recorded]) -> Result<Vec<Values>, Failure> {
    const SEED: u128 = 0x6865_6467_6572_6f77;
    let expected = "memory for the traffic windows";
    let windows = Windows::new(TRAFFIC_CLIENTS_MAX, SEED);
    let mut windows =
        windows.map_err(|error| Failure::new("memory", "traffic", expected, error))?;
    let mut values = vec![[f32::NAN; FEATURES.len()]; requests.len()];
    let mut timed: Vec<(f64, usize)> = { requests.iter().enumerate() }
        .filter_map(|(at, request)| Some((request.ts.as_f64()?, at)))
        .collect();
    // Stable: requests of one time stay in the file's order.
    timed.sort_by(|one, other| one.0.total_cmp(&other.0));
    let start = timed.first().map_or(0.0, |(ts, _)| *ts);
    for (ts, at) in timed {
        let (request, to) = (&requests[at], &mut values[at]);
        let address: Option<IpAddr> = request.ip.as_deref().and_then(|ip| ip.parse().ok());
        let key = match (address, request.session.as_str()) {
            (Some(address), _) => ClientKey::address(address),
            (None, Some(session)) => ClientKey::bytes(session.as_bytes()),
            (None, None) => continue,
        };
        let headers = request.headers();
        let facts = Facts::of(&request.view(&headers));
        let seen = windows.observe(&key, &facts, ((ts - start) * 1e9) as u64);
        *to = *seen.values();
        let status = request.status.as_u64().map(u16::try_from);
        if let Some(Ok(status)) = status {
            windows.finish(seen.id(), status);
        }
    }
    Ok(values)
}
