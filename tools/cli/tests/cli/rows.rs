//! Rows as CSV and NPY: what is taken, and what is refused with its place.

use super::common::*;

fn score(folder: &Folder, table: &str, name: &str, bytes: &[u8]) -> Outcome {
    run(&["score", table, &folder.file(name, bytes)])
}

#[test]
fn csv_is_taken_in_every_honest_spelling() {
    let folder = Folder::new("csv-good");
    let table = folder.table();
    let want = score(&folder, &table, "plain.csv", b"f0,f1,f2,f3\n1,2,0.5,\n").done();
    for text in [
        &b"\xef\xbb\xbff0,f1,f2,f3\n1,2,0.5,\n"[..],
        b"f0,f1,f2,f3\r\n1,2,0.5,\r\n",
        b"f0,f1,f2,f3\n1,2,0.5,",
        b"\"f0\",\"f1\",f2,f3\n\"1\",2,\"0.5\",\"\"\n",
        b"f0, f1 ,f2,\tf3\n 1 ,2\t, 0.5, \n",
        b"f0,f1,f2,f3\n1e0,+2,5e-1,nan\n",
        b"f0,f1,f2,f3\n1.0,2.,.5,NaN\n\n\n",
        b"f3,f2,f1,f0\n,0.5,2,1\n",
        b"label,f0,f1,agent,f2,f3\nbot,1,2,\"Mozilla, \"\"x\"\"\n\",0.5,\n",
        b"label,f0,f1,agent,f2,f3\n,1,2,\xff\xfe,0.5,NAN\n",
    ] {
        let got = score(&folder, &table, "x.csv", text).done();
        assert_eq!(got, want, "{:?}", String::from_utf8_lossy(text));
        assert_eq!(run_on(&["score", &table, "-"], text).done(), want);
    }
    let none = score(&folder, &table, "none.csv", b"f0,f1,f2,f3\n").done();
    assert_eq!(none, "margin,score,source\n");
    let json = run_on(&["score", &table, "-", "--json"], b"f0,f1,f2,f3\n").json();
    assert_eq!(json["rows"].as_array().unwrap().len(), 0);
}

#[test]
fn csv_is_refused_with_line_and_column() {
    let folder = Folder::new("csv-bad");
    let table = folder.table();
    let huge = format!("f0,f1,f2,f3\n1,2,3,{}\n", "9".repeat(3_000_000));
    for (text, parts) in [
        (&b""[..], &["x.csv", "an empty file"][..]),
        (b"\n\n", &["x.csv", "an empty file"]),
        (b"\xef\xbb\xbf", &["x.csv", "an empty file"]),
        (b"f0,f1,f2\n1,2,3\n", &["x.csv:1", "\"f3\""]),
        (b"1,2,3,4\n5,6,7,8\n", &["x.csv:1", "\"f0\""]),
        (
            b"f0,f1,f2,f3,f1\n",
            &["x.csv:1", "\"f1\" in columns 1 and 4"],
        ),
        (b"f0,f1,f2,f3\n1,2,3\n", &["x.csv:2", "4 values", "got 3"]),
        (b"f0,f1,f2,f3\n1,2,3,4\n1,2,3,4,5\n", &["x.csv:3", "got 5"]),
        (
            b"f0,f1,f2,f3\n1,2,3,4\n\n1,2,3,4\n",
            &["x.csv:3", "a blank line"],
        ),
        (b"f0,f1,f2,f3\n1,2,x,4\n", &["x.csv:2", "\"f2\"", "\"x\""]),
        (
            b"f0,f1,f2,f3\r\n1,2,3,4\r\n1,2,3,0x4\r\n",
            &["x.csv:3", "\"f3\"", "0x4"],
        ),
        (b"f0,f1,f2,f3\n1,2,3,\xff\n", &["x.csv:2", "\"f3\""]),
        (b"f0,f1,f2,\xff\n1,2,3,4\n", &["x.csv:1", "UTF-8"]),
        (b"f0,f1,f2,f3\n1,2,3,1e999\n", &["x.csv:2", "range of f32"]),
        (b"f0,f1,f2,f3\n1,2,3,-1e39\n", &["x.csv:2", "range of f32"]),
        (b"f0,f1,f2,f3\n1,2,3,\"4\n5\"\n", &["x.csv:2", "\"f3\""]),
        (
            b"f0;f1;f2;f3\n1;2;3;4\n",
            &["x.csv:1", "\"f0\"", "1 column without"],
        ),
        (b"f0,f1,f2,f3\n1,2,3,NULL\n", &["x.csv:2", "NULL"]),
        (b"{\"f0\": 1}", &["x.csv:1", "\"f0\""]),
        (b"\x00\x00\x00\x00", &["x.csv:1"]),
        (b"PK\x03\x04 \n", &["x.csv:1"]),
        (huge.as_bytes(), &["x.csv:2", "\"f3\"", "99…"]),
    ] {
        let message = score(&folder, &table, "x.csv", text).refused(parts);
        assert!(message.len() < 500, "{message}");
    }
    run(&["score", &table, &folder.path("none.csv")]).refused(&["none.csv", "No such file"]);
    run(&["score", &table, &folder.path("")]).refused(&["a directory"]);
}

#[test]
fn a_file_over_the_bound_is_refused_without_being_read() {
    let folder = Folder::new("huge");
    let table = folder.table();
    for name in ["huge.csv", "huge.npy", "huge.json"] {
        let file = std::fs::File::create(folder.path(name)).unwrap();
        // A hole: takes no room.
        file.set_len(3 << 30).unwrap();
    }
    let (csv, json) = (folder.path("huge.csv"), folder.path("huge.json"));
    run(&["score", &table, &csv]).refused(&["huge.csv", "at most 536870912", "3221225472"]);
    run(&["bench", &table, &csv]).refused(&["huge.csv", "at most"]);
    run(&[
        "compile",
        &json,
        "--positive",
        "human",
        "-o",
        &folder.path("o.hedge"),
    ])
    .refused(&["at most 268435456"]);
    run(&["verify", "default", "--schema", &json]).refused(&["at most 16777216"]);
    run(&["replay", "--requests", &json]).refused(&["at most 268435456"]);
    run(&["verify", &json]).refused(&["at most 134217728"]);
    // One line of three gigabytes, of which no more is read than a line may have.
    run(&["extract", &json]).refused(&["huge.json:1", "at most 16777216"]);
    let commas = folder.file("commas.csv", vec![b','; (16 << 20) + 10]);
    run(&["score", &table, &commas]).refused(&["commas.csv:1", "at most 16777216"]);
    for name in ["huge.csv", "huge.npy", "huge.json"] {
        std::fs::remove_file(folder.path(name)).unwrap();
    }
}

#[test]
fn npy_is_taken_in_versions_one_to_three() {
    let folder = Folder::new("npy-good");
    let table = folder.table();
    let want = score(&folder, &table, "x.csv", b"f0,f1,f2,f3\n1,2,0.5,\n").done();
    let data: Vec<u8> = [1.0f32, 2.0, 0.5, f32::NAN]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    for version in [1, 2, 3] {
        for header in [
            npy_header(1, 4),
            // As NumPy writes it: padded to 64 bytes.
            format!("{:<117}\n", npy_header(1, 4).trim_end()),
            "{'shape':(1,4),'fortran_order':False,'descr':'<f4'}".into(),
        ] {
            let file = npy_raw(version, &header, &data);
            assert_eq!(score(&folder, &table, "x.npy", &file).done(), want);
            // By content, not by name; from a pipe too.
            assert_eq!(score(&folder, &table, "x.csv", &file).done(), want);
            assert_eq!(run_on(&["score", &table, "-"], &file).done(), want);
        }
    }
    let none = npy_raw(1, &npy_header(0, 4), b"");
    assert_eq!(
        score(&folder, &table, "x.npy", &none).done(),
        "margin,score,source\n"
    );
}

#[test]
fn npy_of_another_kind_is_refused() {
    let folder = Folder::new("npy-bad");
    let table = folder.table();
    let data = [0; 16];
    let good = npy_header(1, 4);
    for (header, parts) in [
        (good.replace("<f4", "<f8"), &["float32", "<f8"][..]),
        (good.replace("<f4", ">f4"), &["little-endian", ">f4"]),
        (good.replace("<f4", "<i4"), &["float32", "<i4"]),
        (good.replace("<f4", "|O"), &["float32", "|O"]),
        (good.replace("'<f4'", "[('a', '<f4')]"), &["float32"]),
        (good.replace("False", "True"), &["C order", "True"]),
        (good.replace("(1, 4)", "(4,)"), &["two dimensions", "(4,)"]),
        (good.replace("(1, 4)", "(1, 1, 4)"), &["two dimensions"]),
        (good.replace("(1, 4)", "()"), &["two dimensions"]),
        (good.replace("(1, 4)", "(-1, 4)"), &["two dimensions"]),
        (good.replace("(1, 4)", "(2, 2)"), &["4 columns", "got 2"]),
        (good.replace("(1, 4)", "(4, 0)"), &["16 bytes"]),
        (
            good.replace("(1, 4)", "(2, 4)"),
            &["2 x 4 values", "16 bytes"],
        ),
        (
            good.replace("(1, 4)", "(4611686018427387904, 4)"),
            &["16 bytes"],
        ),
        (
            good.replace("(1, 4)", "(99999999999999999999999, 4)"),
            &["two dimensions"],
        ),
        ("{}".into(), &["float32"]),
        (String::new(), &["float32"]),
        ("not a dict".into(), &["float32"]),
        ("'descr'".into(), &["float32"]),
    ] {
        let file = npy_raw(1, &header, &data);
        score(&folder, &table, "x.npy", &file).refused(&[parts, &["x.npy"]].concat());
    }
    let file = npy_raw(1, &good, &[&data[..], b"x"].concat());
    score(&folder, &table, "x.npy", &file).refused(&["17 bytes"]);
    let file = npy_raw(4, &good, &data);
    score(&folder, &table, "x.npy", &file).refused(&["version 4"]);
    let mut file = npy_raw(2, &good, &data);
    file[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
    score(&folder, &table, "x.npy", &file).refused(&["a whole NPY file"]);
    let mut file = npy_raw(1, &good, &data);
    file[12] = 0xff;
    score(&folder, &table, "x.npy", &file).refused(&["UTF-8"]);
}

#[test]
fn npy_cut_off_anywhere_is_refused() {
    let folder = Folder::new("npy-cut");
    let table = folder.table();
    let file = npy_raw(1, &npy_header(1, 4), &[0; 16]);
    for end in 0..file.len() {
        score(&folder, &table, "x.npy", &file[..end]).refused(&["x.npy"]);
    }
}
