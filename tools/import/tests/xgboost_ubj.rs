//! XGBoost models in UBJSON: damaged, hostile and unusual files are refused, never a panic.

use hedgerow::{Refusal, RefusalKind};
use hedgerow_import::import;
use std::time::{Duration, Instant};

const UBJ: &[u8] = include_bytes!("data/xgboost.ubj");

fn refused(bytes: &[u8]) -> Refusal {
    let error = import(bytes).expect_err("a refusal");
    for part in [error.at(), error.expected(), error.got()] {
        assert!(!part.is_empty(), "{error:?}");
        assert!(part.len() < 500, "{error}");
    }
    error
}

/// A key, as XGBoost writes it.
fn key(name: &str) -> Vec<u8> {
    let length = (name.len() as u64).to_be_bytes();
    [b"L", &length[..], name.as_bytes()].concat()
}

/// The model with other bytes from right behind the first place where a key stands.
fn replaced(name: &str, with: &[u8]) -> Vec<u8> {
    let key = key(name);
    let at = UBJ.windows(key.len()).position(|bytes| bytes == key);
    let start = at.expect(name) + key.len();
    let mut bytes = UBJ.to_vec();
    bytes[start..start + with.len()].copy_from_slice(with);
    bytes
}

#[test]
fn every_truncation_is_refused() {
    for end in 0..UBJ.len() {
        let error = refused(&UBJ[..end]);
        let problems = [RefusalKind::ModelMalformed, RefusalKind::ModelFormat];
        assert!(
            problems.iter().any(|kind| error.is(*kind)),
            "{end}: {error}"
        );
    }
    let error = refused(&UBJ[..UBJ.len() / 2]);
    assert!(error.at().starts_with("byte "), "{error}");
    assert!(error.hint().is_some(), "{error}");
    let more = [UBJ, b"}"].concat();
    assert_eq!(refused(&more).kind(), Some(RefusalKind::ModelMalformed));
}

/// Every byte changed in several ways: whatever is still taken are well-formed trees.
#[test]
fn every_byte_may_be_wrong() {
    let mut bytes = UBJ.to_vec();
    let mut taken = 0;
    for at in 0..bytes.len() {
        let was = bytes[at];
        for now in [
            0,
            1,
            0x7f,
            0xff,
            b'[',
            b'{',
            b'}',
            b'L',
            b'Z',
            was ^ 1,
            was ^ 0x80,
        ] {
            bytes[at] = now;
            if let Ok(imported) = import(&bytes) {
                taken += 1;
                for tree in &imported.ensemble.trees {
                    assert_eq!(tree.check(), Ok(()), "byte {at} = {now}");
                }
                for leaf in imported
                    .ensemble
                    .trees
                    .iter()
                    .flat_map(|tree| tree.leaves())
                {
                    assert!(leaf.is_finite(), "byte {at} = {now}");
                }
            }
        }
        bytes[at] = was;
    }
    assert!(taken > 0);
}

#[test]
fn counts_are_held_to_the_bytes_that_are_there() {
    let started = Instant::now();
    for count in [1_u64 << 60, u64::MAX / 4, i64::MAX as u64, 1 << 32, 100_000] {
        let count = count.to_be_bytes();
        for kind in [b"[$d#L", b"[$l#L", b"[$L#L", b"[$U#L", b"[$D#L"] {
            // In lists that are read, and in lists that are skipped.
            for name in [
                "split_conditions",
                "left_children",
                "base_weights",
                "loss_changes",
            ] {
                let error = refused(&replaced(name, &[&kind[..], &count].concat()));
                assert_eq!(error.kind(), Some(RefusalKind::ModelMalformed), "{error}");
                assert_eq!(error.got(), "the end of the file");
            }
        }
        for name in ["trees", "feature_names", "cats"] {
            refused(&replaced(name, &[b"[#L", &count[..]].concat()));
        }
        refused(&replaced("base_score", &[b"SL", &count[..]].concat()));
        refused(&[b"{L", &count[..], b"learner"].concat());
    }
    for marker in [
        b"-1", b"i\xff", b"I\x80", b"l\xff", b"L\xff", b"d\0", b"#\0", b"$\0",
    ] {
        refused(&replaced(
            "split_conditions",
            &[b"[$d#", &marker[..]].concat(),
        ));
        refused(&replaced("trees", &[b"[#", &marker[..]].concat()));
        refused(&replaced("base_score", &[b"S", &marker[..]].concat()));
    }
    // Elements without bytes could be any number of nothing.
    for kind in b"ZTFNSCH[{]}\0" {
        let head = [b"[$", &[*kind][..], b"#L\x10\0\0\0\0\0\0\0"].concat();
        for name in ["split_conditions", "base_weights"] {
            let error = refused(&replaced(name, &head));
            assert_eq!(error.kind(), Some(RefusalKind::ModelMalformed), "{error}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn nesting_is_bounded() {
    for depth in [128, 200, 1_000_000] {
        for open in [&b"["[..], b"[#i\x01", b"{i\x01a"] {
            let learner = [b"{", &key("learner")[..], &open.repeat(depth)].concat();
            let error = refused(&learner);
            assert!(
                [RefusalKind::ModelOverCapacity, RefusalKind::ModelShape]
                    .iter()
                    .any(|kind| error.is(*kind)),
                "{error}"
            );
            let unheard = [b"{", &key("unheard")[..], &open.repeat(depth)].concat();
            let error = refused(&unheard);
            assert_eq!(
                error.kind(),
                Some(RefusalKind::ModelOverCapacity),
                "{error}"
            );
        }
    }
}

#[test]
fn infinite_numbers_are_refused_by_name() {
    let head = key("split_conditions");
    let at = UBJ.windows(head.len()).position(|bytes| bytes == head);
    // The head of the array is 13 bytes; the first condition is a threshold, the last a leaf.
    let first = at.expect("the key") + head.len() + 13;
    let count = u64::from_be_bytes(UBJ[first - 8..first].try_into().expect("8 bytes")) as usize;
    for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MIN] {
        let mut bytes = UBJ.to_vec();
        bytes[first..first + 4].copy_from_slice(&number.to_be_bytes());
        let error = refused(&bytes);
        assert_eq!(error.kind(), Some(RefusalKind::ModelValue), "{error}");
        assert!(
            error.at().ends_with("trees[0].split_conditions[0]"),
            "{error}"
        );
        if number == f32::MIN {
            continue;
        }
        let mut bytes = UBJ.to_vec();
        let leaf = first + 4 * (count - 1);
        bytes[leaf..leaf + 4].copy_from_slice(&number.to_be_bytes());
        let error = refused(&bytes);
        assert_eq!(error.expected(), "a finite leaf", "{error}");
    }
}

#[test]
fn what_is_no_model_in_this_form_is_said_to_be_that() {
    for (bytes, problem) in [
        (&b"{i\x07learnerZ}"[..], RefusalKind::ModelShape),
        (b"{i\x07learner{}}", RefusalKind::ModelShape),
        (b"{L\0\0\0\0\0\0\0\x07learner{", RefusalKind::ModelMalformed),
        (b"{$i#i\x01i\x01a\x01", RefusalKind::ModelMalformed),
        (b"{#i\x01i\x01a\x01", RefusalKind::ModelMalformed),
        (b"{i\x02\xff\xfeZ}", RefusalKind::ModelMalformed),
        (b"{U\xffshort", RefusalKind::ModelMalformed),
        (b"{i\x01aN}", RefusalKind::ModelMalformed),
        (b"{i\x07versionS", RefusalKind::ModelMalformed),
        (b"{i\x07version[i\x03i\x02]}", RefusalKind::ModelShape),
        (
            b"{i\x07version[i\x03i\x02i\x01i\x00]}",
            RefusalKind::ModelShape,
        ),
        (b"{i\x07version[i\x03i\x02i\x01]}", RefusalKind::ModelShape),
        (
            b"{i\x07version[$i#i\x03\x03\x02\x01}",
            RefusalKind::ModelShape,
        ),
        (b"{i\x07version[#i\x03S\x01}", RefusalKind::ModelMalformed),
        (
            b"{i\x07version[$U#i\x03\x03\x02\x01i\x07version[",
            RefusalKind::ModelDuplicate,
        ),
        (
            b"{i\x01x[i\x01TFZI\0\0l\0\0\0\0d\0\0\0\0]}",
            RefusalKind::ModelShape,
        ),
    ] {
        let error = refused(bytes);
        assert_eq!(error.kind(), Some(problem), "{bytes:?}: {error}");
        assert!(error.at().contains("byte "), "{error}");
    }
}

/// The parameters of the old binary form are told by the objective's name behind them.
#[test]
fn the_old_binary_form_is_recognised() {
    let mut old = vec![0_u8; 136];
    old[..4].copy_from_slice(&0.5_f32.to_le_bytes());
    old.extend(15_u64.to_le_bytes());
    old.extend(b"binary:logistic");
    old.extend(6_u64.to_le_bytes());
    old.extend(b"gbtree");
    for bytes in [&old[..], &[b"binf", &old[..]].concat()] {
        let error = refused(bytes);
        assert_eq!(error.got(), "an XGBoost model in the old binary form");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("save_model")),
            "{error}"
        );
    }
}
