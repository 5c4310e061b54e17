//! Rows from files: CSV with a header of names, or NPY with columns in feature order.

use crate::failure::Failure;
use crate::files;
use std::path::Path;

/// A matrix of values, and the names of its columns where the file has them.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Names of the columns; none in NPY.
    pub names: Option<Vec<String>>,
    /// Values a row.
    pub width: usize,
    /// Row after row; NaN where missing.
    pub values: Vec<f32>,
    /// Number of rows.
    pub count: usize,
}

impl Rows {
    /// Reads a file, telling CSV and NPY apart by content; `-` is standard input.
    pub fn read(path: &Path) -> Result<Rows, Failure> {
        let bytes = files::read(path)?;
        let at = path.display().to_string();
        if bytes.starts_with(b"\x93NUMPY") {
            npy(&bytes, &at)
        } else {
            csv(&bytes, &at)
        }
    }

    /// The rows with their columns in this order of features: by name where the file has names,
    /// else as they stand. Columns of other names are left out.
    pub fn in_order(&self, features: &[String], at: &str) -> Result<Vec<Vec<f32>>, Failure> {
        let columns: Vec<usize> = match &self.names {
            None if self.width == features.len() => (0..self.width).collect(),
            None => {
                let expected = format!("{} columns, one a feature of the table", features.len());
                return Err(Failure::new("rows", at, expected, self.width));
            }
            Some(names) => features
                .iter()
                .map(|feature| {
                    names
                        .iter()
                        .position(|name| name == feature)
                        .ok_or_else(|| {
                            let expected = format!("a column \"{feature}\", as the table needs");
                            let got = format!("{} columns without it", names.len());
                            Failure::new("rows", format!("{at}:1"), expected, got)
                        })
                })
                .collect::<Result<_, _>>()?,
        };
        let rows = self.values.chunks_exact(self.width.max(1)).take(self.count);
        Ok(rows
            .map(|row| columns.iter().map(|column| row[*column]).collect())
            .collect())
    }
}

fn csv(bytes: &[u8], at: &str) -> Result<Rows, Failure> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(true)
        .from_reader(bytes);
    let malformed = |error: csv::Error| {
        let line = error.position().map_or(0, |position| position.line());
        let at = if line > 0 {
            format!("{at}:{line}")
        } else {
            at.to_string()
        };
        Failure::new(
            "rows",
            at,
            "a CSV file with a header of feature names",
            error,
        )
    };
    let header = reader.headers().map_err(malformed)?.clone();
    let names: Vec<String> = header.iter().map(str::to_string).collect();
    if names.is_empty() || (names.len() == 1 && names[0].is_empty()) {
        return Err(Failure::new(
            "rows",
            at,
            "a header of feature names",
            "an empty file",
        ));
    }
    for (second, name) in names.iter().enumerate() {
        if let Some(first) = names[..second].iter().position(|other| other == name) {
            let got = format!("\"{name}\" in columns {first} and {second}");
            return Err(Failure::new("rows", format!("{at}:1"), "unique names", got));
        }
    }
    let (mut values, mut count) = (Vec::new(), 0);
    for record in reader.records() {
        let record = record.map_err(malformed)?;
        let line = record.position().map_or(0, |position| position.line());
        for (text, name) in record.iter().zip(&names) {
            let at = || format!("{at}:{line}: column \"{name}\"");
            values.push(
                parse(text).map_err(|expected| {
                    Failure::new("rows", at(), expected, format!("{text:?}"))
                })?,
            );
        }
        count += 1;
    }
    Ok(Rows {
        width: names.len(),
        names: Some(names),
        values,
        count,
    })
}

fn parse(text: &str) -> Result<f32, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Ok(f32::NAN);
    }
    let value: f32 = text
        .parse()
        .map_err(|_| "a number, or nothing or nan where missing")?;
    // "1e99" is no way to write infinity.
    if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err("a number within the range of f32");
    }
    Ok(value)
}

/// NPY, versions 1 to 3: magic, version, header length, a Python dict as text, data.
fn npy(bytes: &[u8], at: &str) -> Result<Rows, Failure> {
    let wrong = |expected: &str, got: String| Failure::new("rows", at, expected, got);
    let cut = || wrong("a whole NPY file", format!("{} bytes", bytes.len()));
    let major = *bytes.get(6).ok_or_else(cut)?;
    let (start, len) = match major {
        1 => (
            10,
            bytes
                .get(8..10)
                .map(|b| u64::from(u16::from_le_bytes([b[0], b[1]]))),
        ),
        2 | 3 => (
            12,
            bytes
                .get(8..12)
                .map(|b| u64::from(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))),
        ),
        _ => return Err(wrong("NPY version 1, 2 or 3", format!("version {major}"))),
    };
    let end = start + usize::try_from(len.ok_or_else(cut)?).map_err(|_| cut())?;
    let header = bytes.get(start..end).ok_or_else(cut)?;
    let header = std::str::from_utf8(header)
        .map_err(|error| wrong("a header in UTF-8", error.to_string()))?;
    let descr = npy_field(header, "descr").unwrap_or_default();
    if descr.trim_matches(['\'', '"']) != "<f4" {
        return Err(wrong(
            "float32, little-endian ('<f4')",
            format!("descr {descr}"),
        ));
    }
    let order = npy_field(header, "fortran_order").unwrap_or_default();
    if order != "False" {
        return Err(wrong(
            "C order (fortran_order False)",
            format!("fortran_order {order}"),
        ));
    }
    let shape = npy_shape(header).unwrap_or_default();
    let [count, width] = shape[..] else {
        return Err(wrong(
            "two dimensions, rows and features",
            format!("shape {shape:?}"),
        ));
    };
    let data = &bytes[end..];
    let expected = count
        .checked_mul(width)
        .and_then(|values| values.checked_mul(4));
    if expected != Some(data.len()) || width == 0 {
        let expected = format!("{count} x {width} values of 4 bytes");
        return Err(wrong(&expected, format!("{} bytes", data.len())));
    }
    let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let values = data.chunks_exact(4).map(value).collect();
    Ok(Rows {
        names: None,
        width,
        values,
        count,
    })
}

/// The text of a field in an NPY header, up to the next comma.
fn npy_field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = header.split_once(&format!("'{name}'"))?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    Some(value.split([',', '}']).next()?.trim())
}

fn npy_shape(header: &str) -> Option<Vec<usize>> {
    let (_, after) = header.split_once("'shape'")?;
    let (inside, _) = after.split_once('(')?.1.split_once(')')?;
    let sizes = inside
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    sizes.map(|size| size.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_takes_empty_and_nan_as_missing_and_names_what_is_wrong() {
        let rows = csv(b"a,b\n1,\nnan,-2.5e-3\n", "x.csv").unwrap();
        assert_eq!(rows.count, 2);
        assert!(rows.values[1].is_nan() && rows.values[2].is_nan());
        let ordered = rows.in_order(&["b".into()], "x.csv").unwrap();
        assert_eq!(ordered[1], [-2.5e-3]);

        let failed = |bytes: &[u8]| csv(bytes, "x.csv").unwrap_err().message;
        assert!(failed(b"").contains("an empty file"));
        assert!(failed(b"a,a\n").contains("\"a\" in columns 0 and 1"));
        assert!(failed(b"a,b\n1,x\n").contains("x.csv:2: column \"b\""));
        assert!(failed(b"a,b\n1\n").contains("x.csv:2"));
        assert!(failed(b"a\n1e99\n").contains("within the range of f32"));
        assert!(
            rows.in_order(&["c".into()], "x.csv")
                .unwrap_err()
                .message
                .contains("\"c\"")
        );
    }

    fn npy_file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((header.len() as u16).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        file
    }

    #[test]
    fn npy_takes_float32_in_c_order_and_nothing_else() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1), }\n";
        let rows = npy(&npy_file(header, &[0; 8]), "x.npy").unwrap();
        assert_eq!(
            (rows.count, rows.width, rows.values),
            (2, 1, vec![0.0, 0.0])
        );

        let failed = |header: &str, data: &[u8]| npy(&npy_file(header, data), "x").unwrap_err();
        assert!(failed(header, &[0; 7]).got.contains("7 bytes"));
        assert!(
            failed(&header.replace("f4", "f8"), &[0; 8])
                .got
                .contains("<f8")
        );
        assert!(
            failed(&header.replace("False", "True"), &[0; 8])
                .got
                .contains("True")
        );
        assert!(
            failed(&header.replace("(2, 1)", "(2,)"), &[0; 8])
                .got
                .contains("[2]")
        );
        let huge = header.replace("(2, 1)", "(99999999999999, 99999999999999)");
        assert!(failed(&huge, &[0; 8]).got.contains("8 bytes"));
        let file = npy_file(header, &[0; 8]);
        for end in 0..file.len() {
            assert!(npy(&file[..end], "x").is_err(), "cut at {end}");
        }
    }
}
