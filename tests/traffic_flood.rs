//! What one client, or a flood of clients, can do to the others: figures, and their bounds.

#[path = "common/mod.rs"]
mod common;

use common::Random;
use hedgerow::traffic::{ClientKey, Facts, Windows, position};
use std::net::IpAddr;

const SECOND: u64 = 1_000_000_000;
const CLIENTS: usize = 8_192;
const FLOOD: u64 = 1_000_000;

/// An IPv6 network of the flood's; the others are IPv4.
fn random_key(random: &mut Random) -> ClientKey<'static> {
    let network = u128::from(random.next() | 1 << 63);
    ClientKey::address(IpAddr::from((network << 64).to_be_bytes()))
}

fn key(client: u32) -> ClientKey<'static> {
    ClientKey::address(IpAddr::from((0x0a00_0000 | client).to_be_bytes()))
}

fn facts() -> Facts<'static> {
    Facts {
        path: Some(b"/page"),
        agent: Some(b"agent"),
        asset: Some(false),
        referer: Some(true),
    }
}

/// For how many seconds a client has been remembered; none where it was forgotten.
fn age(windows: &mut Windows, client: u32, now: u64) -> Option<f32> {
    let values = *windows.observe(&key(client), &facts(), now).values();
    let age = values[usize::from(position("traffic_age").expect("a feature"))];
    (!age.is_nan()).then_some(age)
}

/// Windows in which these clients have come four times within the first second.
fn with_clients(clients: u32) -> Windows {
    let mut windows = Windows::new(CLIENTS, 0x1234_5678_9abc_def0_0fed_cba9).expect("windows");
    for client in 0..clients {
        for step in 0..4 {
            let _ = windows.observe(&key(client), &facts(), step * SECOND / 10);
        }
    }
    windows
}

/// How a flood comes, and who is left.
struct Flood {
    /// Requests of each of its keys.
    each: u64,
    /// How long it lasts.
    seconds: u64,
    /// How often each of the others comes meanwhile, in seconds; never where none.
    others: Option<u64>,
}

/// Runs a million requests of a flood; returns how many of the clients are still remembered.
fn flood(clients: u32, flood: &Flood) -> (u32, Windows) {
    let mut windows = with_clients(clients);
    let random = &mut Random::new(7);
    let keys = FLOOD / flood.each;
    let mut next = flood.others.unwrap_or(u64::MAX);
    for at in 0..keys {
        let now = SECOND + at * flood.seconds * SECOND / keys;
        let new = random_key(random);
        for _ in 0..flood.each {
            let _ = windows.observe(&new, &facts(), now);
        }
        if now / SECOND >= next {
            next += flood.others.unwrap_or(u64::MAX);
            for client in 0..clients {
                let _ = windows.observe(&key(client), &facts(), now);
            }
        }
    }
    let end = (flood.seconds + 1) * SECOND;
    let kept = (0..clients).filter(|client| {
        let whole = flood.seconds as f32 - 1.0;
        age(&mut windows, *client, end).is_some_and(|age| age > whole)
    });
    (kept.count() as u32, windows)
}

#[test]
fn clients_that_come_every_minute_survive_any_flood() {
    for each in [1, 3, 10] {
        for seconds in [10, 300] {
            let shape = Flood {
                each,
                seconds,
                others: Some(50),
            };
            let (kept, windows) = flood(1_000, &shape);
            println!(
                "1,000 clients that come every 50 s, {FLOOD} requests of new keys that send {each} \
                 in {seconds} s: {kept} kept, {:?}",
                windows.stats()
            );
            assert_eq!(kept, 1_000);
            let entered = windows.stats().entered;
            assert!(entered >= FLOOD / each, "{entered} entered: no flood");
        }
    }
}

#[test]
fn idle_clients_survive_a_flood_of_single_requests() {
    let shape = |each| Flood {
        each,
        seconds: 300,
        others: None,
    };
    let (kept, _) = flood(1_000, &shape(1));
    println!("1,000 clients idle for 300 s, keys that send 1: {kept} kept");
    assert_eq!(kept, 1_000);
    // What the protection is for: keys that come back may take the place of the idle.
    let (kept, windows) = flood(1_000, &shape(3));
    println!("keys that send 3: {kept} kept, {:?}", windows.stats());
    assert_eq!(
        kept, 0,
        "idle clients that never make room are room that is lost"
    );
}

/// Half as many clients as there is room for: some sets have more than six.
#[test]
fn half_full_windows_keep_most_clients() {
    let shape = Flood {
        each: 1,
        seconds: 100,
        others: Some(20),
    };
    let (kept, windows) = flood(4_096, &shape);
    println!(
        "4,096 clients of {CLIENTS}: {kept} kept, {:?}",
        windows.stats()
    );
    // A set has four on average; of the seventh and those after it, none is established.
    assert!(kept >= 3_850, "{kept}");
    let shape = Flood {
        each: 1,
        seconds: 100,
        others: Some(20),
    };
    let (kept, _) = flood(2_048, &shape);
    println!("2,048 clients of {CLIENTS}: {kept} kept");
    assert!(kept >= 2_035, "{kept}");
}

/// Newcomers whose page takes ten requests at once, under a flood of 10,000 new keys a second.
#[test]
fn newcomers_get_in_during_a_flood() {
    let mut windows = with_clients(1_000);
    let random = &mut Random::new(11);
    let mut got_in = 0;
    for newcomer in 0..500_u32 {
        let client = 100_000 + newcomer;
        let from = SECOND + u64::from(newcomer) * SECOND / 10;
        // Ten requests, each 20 ms after the other: 200 keys of the flood between.
        for step in 0..10 {
            let now = from + step * SECOND / 50;
            let _ = windows.observe(&key(client), &facts(), now);
            for _ in 0..200 {
                let _ = windows.observe(&random_key(random), &facts(), now);
            }
        }
        got_in += u32::from(age(&mut windows, client, from + SECOND / 5).is_some());
    }
    println!("500 newcomers with ten requests each, 10,000 new keys a second: {got_in} got in");
    assert!(got_in >= 480, "{got_in}");
}

#[test]
fn one_client_does_not_change_what_is_known_of_others() {
    let (mut alone, mut beside) = (with_clients(2_000), with_clients(2_000));
    let noisy = ClientKey::bytes(b"noisy");
    for request in 0..FLOOD {
        let now = SECOND + request * 10 * SECOND / FLOOD;
        let path = request.to_le_bytes();
        let facts = Facts {
            path: Some(&path),
            ..facts()
        };
        let id = beside.observe(&noisy, &facts, now).id();
        beside.finish(id, 404);
        if request % 500 == 0 {
            let client = (request / 500 % 2_000) as u32;
            let one = alone.observe(&key(client), &facts_of(client), now);
            let other = beside.observe(&key(client), &facts_of(client), now);
            let bits = |values: &[f32; 12]| values.map(f32::to_bits);
            assert_eq!(bits(one.values()), bits(other.values()), "client {client}");
        }
    }
    assert_eq!(alone.stats().entered + 1, beside.stats().entered);
    let seen = beside.observe(&noisy, &facts(), 11 * SECOND);
    println!("one client, {FLOOD} requests in 10 s: {:?}", seen.values());
    assert_eq!(seen.values()[1], 8.0 * 65_535.0, "its own counts stop");
}

fn facts_of(client: u32) -> Facts<'static> {
    Facts {
        asset: Some(client.is_multiple_of(2)),
        ..facts()
    }
}

/// A new key is taken for a known client with a probability of 8 in 2^32.
#[test]
fn new_keys_are_not_taken_for_others() {
    let mut windows = with_clients(6_000);
    let random = &mut Random::new(13);
    let mistaken = (0..FLOOD).filter(|_| {
        let seen = windows.observe(&random_key(random), &facts(), SECOND);
        seen.values().iter().any(|value| !value.is_nan())
    });
    let mistaken = mistaken.count();
    println!("{FLOOD} new keys: {mistaken} taken for others");
    assert_eq!(mistaken, 0);
}
