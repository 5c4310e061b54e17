//! Files that are no model that is imported are recognised and refused by name.

use hedgerow::RefusalKind;
use hedgerow_import::{IMPORTERS, MODEL_BYTES_MAX, import};

#[test]
fn other_files_are_refused_by_name() {
    let cases: &[(&[u8], &str)] = &[
        (b"", "an empty file"),
        (b" \r\n\t", "an empty file"),
        (b"CBM1\x10\0\0\0", "a CatBoost model in binary form (.cbm)"),
        (
            b"###  Model data\nclass catboost_model(object):",
            "a CatBoost model as source code",
        ),
        (
            b"{\"name\":\"tree\",\"tree_info\":[]}",
            "a LightGBM model in JSON",
        ),
        (b"binf\0\0\0\0", "an XGBoost model in the old binary form"),
        (
            b"CONFIG-offset:\0\0",
            "an XGBoost model in the old binary form",
        ),
        (
            b"[\n  { \"nodeid\": 0, \"depth\": 0 }]",
            "an XGBoost model as dump_model writes it",
        ),
        (
            b"booster[0]:\n0:[f0<0.5] yes=1,no=2",
            "an XGBoost model as dump_model writes it",
        ),
        (b"\x08\x08\x12\x08skl2onnx", "an ONNX model"),
        (b"\x08\x0d\x3a\x80\x01", "an ONNX model"),
        (b"\x08\x03\x42\x04\x0a\0", "an ONNX model"),
        (
            b"<?xml version=\"1.0\"?>\n<PMML version=\"4.3\">",
            "a PMML model",
        ),
        (b"\x80\x04\x95\x10", "a Python pickle"),
        (b"PK\x03\x04\x14\0", "a ZIP archive"),
        (b"\x1f\x8b\x08\0", "a gzip stream"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\n<!DOCTYPE html><title>Not found</title>", "a web page"),
        (b"<HTML><body>", "a web page"),
        (b"a,b,c\n1,2,3\n", "comma-separated values"),
        (b"[1, 2]", "JSON that is no model known here"),
        (b"{\"a\": 1}", "JSON that is no model known here"),
        (b"{}", "JSON that is no model known here"),
        (b"\x7fELF\x02\x01", "a file of unknown kind"),
        (b"hello", "a file of unknown kind"),
        (b"\0\0\0,\0", "a file of unknown kind"),
        (b"\x08\x20\x12\x08", "a file of unknown kind"),
        (b"\xef\xbb\xbf", "an empty file"),
        (b"\xef\xbb\xbf\n{}", "JSON that is no model known here"),
        (b"\xff\xfet\0r\0", "text in UTF-16"),
        (b"\xfe\xff\0t\0r", "text in UTF-16"),
        (b"<", "a file of unknown kind"),
    ];
    refused_as(cases);
}

/// Asserts that each of these files is refused as that.
fn refused_as(cases: &[(&[u8], &str)]) {
    for (bytes, name) in cases {
        let error = import(bytes).expect_err(name);
        assert_eq!(error.got(), *name, "{error}");
        assert_eq!(error.kind(), Some(RefusalKind::ModelFormat));
        assert_eq!(error.code(), 902);
    }
}

#[test]
fn what_a_model_was_packed_into_is_named() {
    refused_as(&[
        (b"\x80\x02}q\0.", "a Python pickle"),
        (b"(dp0\nVa\np1\n(lp2\nF1.5\nas.", "a Python pickle"),
        (b"}q\x01X\x01\0\0\0aq\x02K\x01s.", "a Python pickle"),
        (
            b"ccopy_reg\n_reconstructor\np0\n(clightgbm.basic\nBooster\n.",
            "a Python pickle",
        ),
        (
            b"\x78\x5e\x6b\x60\x99",
            "a zlib stream, such as a compressed joblib dump",
        ),
        (
            b"\x78\x9c\x6b\x60",
            "a zlib stream, such as a compressed joblib dump",
        ),
        (b"\x28\xb5\x2f\xfd\x04\0", "a Zstandard stream"),
        (b"\xfd7zXZ\0\0\x04", "an xz stream"),
        (b"BZh91AY&SY", "a bzip2 stream"),
        (b"\x04\x22\x4d\x18\x64", "an LZ4 stream"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
            "a Git LFS pointer",
        ),
        (
            b"<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code></Error>",
            "an XML document",
        ),
    ]);
}

#[test]
fn a_tar_archive_is_named() {
    let mut archive = vec![0_u8; 1_024];
    archive[..10].copy_from_slice(b"model.json");
    archive[257..263].copy_from_slice(b"ustar\0");
    let error = import(&archive).expect_err("a refusal");
    assert_eq!(error.got(), "a tar archive", "{error}");
}

#[test]
fn a_refusal_is_one_clear_sentence() {
    let error = import(b"CBM1\x10\0\0\0").expect_err("a refusal");
    assert_eq!(
        error.to_string(),
        "the file is no model of a known format (model-format): the whole file: expected a \
         CatBoost model in JSON, or an XGBoost model in JSON, or an XGBoost model in UBJSON, or \
         a LightGBM model in text form, got a CatBoost model in binary form (.cbm) (load it in \
         Python and export it: \
         CatBoost().load_model(\"model.cbm\").save_model(\"model.json\", format=\"json\"))"
    );
    let error = import(b"{\"oblivious_trees\": [1,").expect_err("a refusal");
    assert_eq!(error.at(), "line 1, column 23");
    assert_eq!(error.kind(), Some(RefusalKind::ModelMalformed));
}

#[test]
fn a_file_over_the_limit_is_refused_unread() {
    let error = import(&vec![0; MODEL_BYTES_MAX + 1]).expect_err("a refusal");
    assert_eq!(error.kind(), Some(RefusalKind::ModelTooLarge));
    assert_eq!(error.expected(), "at most 268435456 bytes");
    assert_eq!(error.got(), "268435457 bytes");
}

/// Short inputs of all kinds: no panic, always a refusal.
#[test]
fn short_inputs_are_refused() {
    for a in 0..=u8::MAX {
        assert!(import(&[a]).is_err());
        for b in 0..=u8::MAX {
            assert!(import(&[a, b]).is_err());
            assert!(import(&[b'{', a, b]).is_err());
            assert!(import(&[b'<', a, b, b',']).is_err());
        }
    }
}

/// Every importer has a reference model, is named in refusals, and its export in their hints.
#[test]
fn every_importer_is_recognised_and_named() {
    let refused = import(b"\x80\x04\x95\x10")
        .expect_err("a pickle")
        .to_string();
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut models: Vec<Vec<u8>> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("reference models") {
        let path = entry.expect("an entry").path();
        if !path.to_string_lossy().ends_with(".expected.json") {
            models.push(std::fs::read(path).expect("a model"));
        }
    }
    for importer in IMPORTERS {
        assert!(refused.contains(importer.description), "{refused}");
        assert!(refused.contains(importer.export), "{refused}");
        let start = importer.sign.start();
        let own = models.iter().filter(|model| model.starts_with(start));
        let imported = own.filter(|model| import(model).is_ok()).count();
        assert!(
            imported > 0,
            "{}: no reference model is imported",
            importer.name
        );
    }
}

/// Versions 1.6 to 2.1 write tokens that are no JSON into values that mean nothing.
#[test]
fn xgboost_that_is_not_quite_json_is_taken() {
    const MODEL: &str = include_str!("data/xgboost-categories.json");
    let taken = |text: &str| import(text.as_bytes()).map(|model| model.ensemble);
    let plain = taken(MODEL).expect("a model");
    let (mut nodes, mut changed) = (0, 0);
    // Every number of every list, one at a time: taken where it means nothing, else refused.
    for (at, _) in MODEL.match_indices("\"split_conditions\":[") {
        let start = at + "\"split_conditions\":[".len();
        let end = start + MODEL[start..].find(']').expect("an end");
        let mut from = start;
        for number in MODEL[start..end].split(',') {
            let to = from + number.len();
            for token in ["NaN", "Infinity", "-Infinity"] {
                nodes += 1;
                let text = format!("{}{token}{}", &MODEL[..from], &MODEL[to..]);
                match taken(&text) {
                    Ok(ensemble) => {
                        changed += 1;
                        assert_eq!(ensemble, plain, "{text}");
                    }
                    Err(refused) => {
                        assert_eq!(refused.kind(), Some(RefusalKind::ModelValue), "{refused}");
                    }
                }
            }
            from = to + 1;
        }
    }
    assert!(changed > 0 && changed < nodes, "{changed} of {nodes}");
    // Not within texts, and nowhere else.
    let named = MODEL.replacen(
        "{",
        "{\"a\\\"NaN\": \"NaN, -Infinity\", \"b\": [NaN, -Infinity],",
        1,
    );
    assert_eq!(taken(&named).expect("a model"), plain);
    assert!(taken(&MODEL.replacen("\"tree_info\":[", "\"tree_info\":[NaN,", 1)).is_err());
}
