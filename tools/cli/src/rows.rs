//! Rows from files: CSV with a header of names, or NPY with columns in feature order.

use crate::failure::Failure;
use crate::files;
use crate::requests::LINE_BYTES_MAX;
use std::collections::HashMap;
use std::path::Path;

/// Values of a file of rows, 134,217,728: 512 MiB in memory.
const VALUES_MAX: usize = 1 << 27;

/// How an NPY file begins.
pub const NPY_MAGIC: &[u8] = b"\x93NUMPY";

/// A matrix of values, with the columns that were asked for, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    width: usize,
    /// Row after row; NaN where missing.
    values: Vec<f32>,
}

/// What to do where a file has no column of a name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Absent {
    /// Refuse the file.
    Refuse,
    /// Take all its values as missing. Such a file must have names, and one of these.
    Missing,
}

impl Rows {
    /// Reads the columns of these names, telling CSV and NPY apart by content; `-` is standard
    /// input. Other columns of a CSV file are left alone; NPY has no names, and must have exactly
    /// these columns.
    pub fn read(path: &Path, names: &[String], absent: Absent) -> Result<Rows, Failure> {
        let bytes = files::read(path, files::INPUT_BYTES_MAX)?;
        Rows::parse(&bytes, &path.display().to_string(), names, absent)
    }

    /// The same of a file's bytes.
    pub fn parse(
        bytes: &[u8],
        at: &str,
        names: &[String],
        absent: Absent,
    ) -> Result<Rows, Failure> {
        if !bytes.starts_with(NPY_MAGIC) {
            if let Some((line, length)) = long_line(bytes) {
                let at = format!("{at}:{line}");
                let expected = format!("a line of at most {LINE_BYTES_MAX} bytes");
                return Err(Failure::new("rows", at, expected, length));
            }
            return csv(bytes, at, names, absent);
        }
        if absent == Absent::Missing {
            return Err(Failure::new(
                "rows",
                at,
                "CSV, whose columns have names",
                "NPY",
            ));
        }
        npy(bytes, at, names)
    }

    /// The number of rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// The rows.
    pub fn iter(&self) -> std::slice::ChunksExact<'_, f32> {
        self.values.chunks_exact(self.width.max(1))
    }
}

fn csv(bytes: &[u8], at: &str, wanted: &[String], absent: Absent) -> Result<Rows, Failure> {
    let wrong = |line: u64, expected: &str, got: String| {
        let at = match line {
            0 => at.to_string(),
            line => format!("{at}:{line}"),
        };
        Failure::new("rows", at, expected, got)
    };
    let unreadable = |error: csv::Error| wrong(0, "a CSV file", error.to_string());
    let bytes = files::without_mark(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut record = csv::ByteRecord::new();
    let expected = "a header of feature names";
    if !reader.read_byte_record(&mut record).map_err(unreadable)? {
        return Err(wrong(0, expected, "an empty file".into()));
    }
    let names = header(&record).map_err(|got| wrong(1, expected, got))?;
    let columns =
        columns(&names, wanted, absent).map_err(|(expected, got)| wrong(1, &expected, got))?;
    let mut values = Vec::new();
    while reader.read_byte_record(&mut record).map_err(unreadable)? {
        let (byte, mut line) = record.position().map_or((0, 0), |p| (p.byte(), p.line()));
        let mut rest = bytes.get(byte as usize..).unwrap_or_default();
        if rest.first() == Some(&b'\n') && byte > 0 && bytes.get(byte as usize - 1) == Some(&b'\r')
        {
            // The second half of the line end before; it is not counted yet.
            rest = &rest[1..];
            line += 1;
        }
        // The parser would leave a blank line out, and each later row would get the result of
        // another.
        if matches!(rest.first(), Some(b'\n' | b'\r')) {
            return Err(wrong(line, "a row", BLANK.into()));
        }
        if record.len() != names.len() {
            let expected = format!("{} values, one a column", names.len());
            return Err(wrong(line, &expected, record.len().to_string()));
        }
        if values.len() + columns.len() > VALUES_MAX {
            let expected = format!("at most {VALUES_MAX} values");
            return Err(wrong(line, &expected, "more".into()));
        }
        for (column, name) in columns.iter().zip(wanted) {
            let text = column.and_then(|column| record.get(column));
            values.push(value(text.unwrap_or_default(), at, line, name)?);
        }
    }
    // With several columns a blank line at the end is no row; with one it might be.
    if names.len() == 1
        && [&b"\n\n"[..], b"\n\r\n"]
            .iter()
            .any(|end| bytes.ends_with(end))
    {
        return Err(wrong(
            reader.position().line().saturating_sub(1),
            "a row",
            BLANK.into(),
        ));
    }
    Ok(Rows {
        width: wanted.len(),
        values,
    })
}

/// The number and length of the first line that is too long. Of a line of nothing but commas the
/// parser takes 24 times the memory.
fn long_line(bytes: &[u8]) -> Option<(u64, usize)> {
    if bytes.len() <= LINE_BYTES_MAX {
        return None;
    }
    let lines = bytes.split(|byte| matches!(byte, b'\n' | b'\r')).zip(1..);
    { lines }
        .find(|(line, _)| line.len() > LINE_BYTES_MAX)
        .map(|(line, number)| (number, line.len()))
}

fn value(text: &[u8], at: &str, line: u64, name: &str) -> Result<f32, Failure> {
    parse(text).map_err(|expected| {
        let at = format!("{at}:{line}: column \"{name}\"");
        Failure::new("rows", at, expected, format!("{:?}", shown(text)))
    })
}

const BLANK: &str = "a blank line (write nan for a missing value that stands alone)";

/// The names of a header, without spaces around them.
fn header(record: &csv::ByteRecord) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let mut places = HashMap::new();
    for (second, name) in record.iter().enumerate() {
        let name = std::str::from_utf8(name).map_err(|_| format!("no UTF-8 in column {second}"))?;
        let name = name.trim();
        if let Some(first) = places.insert(name.to_string(), second) {
            return Err(format!(
                "\"{}\" in columns {first} and {second}",
                shown(name.as_bytes())
            ));
        }
        names.push(name.to_string());
    }
    Ok(names)
}

/// The place of each wanted column.
fn columns(
    names: &[String],
    wanted: &[String],
    absent: Absent,
) -> Result<Vec<Option<usize>>, (String, String)> {
    let places: Vec<Option<usize>> = wanted
        .iter()
        .map(|feature| names.iter().position(|name| name == feature))
        .collect();
    let lacks = match absent {
        Absent::Refuse => places.iter().position(Option::is_none),
        Absent::Missing if places.iter().all(Option::is_none) => Some(0),
        Absent::Missing => None,
    };
    let Some(feature) = lacks.and_then(|at| wanted.get(at)) else {
        return Ok(places);
    };
    let first: Vec<String> = names
        .iter()
        .take(3)
        .map(|name| format!("\"{}\"", shown(name.as_bytes())))
        .collect();
    let more = if names.len() > 3 { ", …" } else { "" };
    let expected = format!("a column \"{feature}\", as the table needs");
    Err((
        expected,
        format!(
            "{} without it: {}{more}",
            match names.len() {
                1 => "1 column".to_string(),
                count => format!("{count} columns"),
            },
            first.join(", ")
        ),
    ))
}

/// The beginning of a text that may be long or no text at all.
fn shown(text: &[u8]) -> String {
    let head = String::from_utf8_lossy(text.get(..40).unwrap_or(text)).into_owned();
    if text.len() > 40 { head + "…" } else { head }
}

fn parse(text: &[u8]) -> Result<f32, &'static str> {
    let expected = "a number, or nothing or nan where missing";
    let text = std::str::from_utf8(text).map_err(|_| expected)?;
    let text = text.trim_matches([' ', '\t']);
    if text.is_empty() || text.eq_ignore_ascii_case("nan") {
        return Ok(f32::NAN);
    }
    let value: f32 = text.parse().map_err(|_| expected)?;
    // "1e99" is no way to write infinity.
    if value.is_infinite() && text.bytes().any(|byte| byte.is_ascii_digit()) {
        return Err("a number within the range of f32");
    }
    Ok(value)
}

/// NPY, versions 1 to 3: magic, version, header length, a Python dict as text, data.
fn npy(bytes: &[u8], at: &str, wanted: &[String]) -> Result<Rows, Failure> {
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
            "float32, little-endian ('<f4'; in NumPy: x.astype(\"<f4\"))",
            format!("descr {descr}"),
        ));
    }
    let order = npy_field(header, "fortran_order").unwrap_or_default();
    if order != "False" {
        return Err(wrong(
            "C order (fortran_order False; in NumPy: np.ascontiguousarray(x))",
            format!("fortran_order {order}"),
        ));
    }
    let (shape, sizes) = npy_shape(header).unwrap_or(("none", None));
    let Some([count, width]) = sizes.as_deref() else {
        let shape: String = shape.chars().take(80).collect();
        return Err(wrong(
            "two dimensions, rows and features, as whole numbers from 0",
            format!("shape {shape}"),
        ));
    };
    let (count, width) = (*count, *width);
    let data = &bytes[end..];
    let expected = count
        .checked_mul(width)
        .and_then(|values| values.checked_mul(4));
    if expected != Some(data.len()) || width == 0 {
        let expected = format!("{count} x {width} values of 4 bytes");
        return Err(wrong(&expected, format!("{} bytes", data.len())));
    }
    if width != wanted.len() {
        let expected = format!("{} columns, one a feature of the table", wanted.len());
        return Err(wrong(&expected, width.to_string()));
    }
    let value = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
    let values = data.chunks_exact(4).map(value).collect();
    Ok(Rows { width, values })
}

/// The text of a field in an NPY header, up to the next comma.
fn npy_field<'a>(header: &'a str, name: &str) -> Option<&'a str> {
    let (_, after) = header.split_once(&format!("'{name}'"))?;
    let value = after.trim_start().strip_prefix(':')?.trim_start();
    Some(value.split([',', '}']).next()?.trim())
}

/// The text of the shape, and its sizes if all are whole numbers from 0.
fn npy_shape(header: &str) -> Option<(&str, Option<Vec<usize>>)> {
    let (_, after) = header.split_once("'shape'")?;
    let from = after.get(after.find('(')?..)?;
    let shape = from.get(..=from.find(')')?)?;
    let sizes = shape
        .trim_matches(['(', ')'])
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty());
    Some((shape, sizes.map(|size| size.parse().ok()).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn csv_takes_empty_and_nan_as_missing_and_names_what_is_wrong() {
        let read =
            |bytes: &[u8], wanted: &[&str]| csv(bytes, "x.csv", &names(wanted), Absent::Refuse);
        let rows = read(b"a,b\n1,\nnan,-2.5e-3\n", &["b", "a"]).unwrap();
        assert_eq!(rows.count(), 2);
        assert!(rows.values[0].is_nan() && rows.values[3].is_nan());
        assert_eq!(rows.values[1..3], [1.0, -2.5e-3]);

        let failed = |bytes: &[u8]| read(bytes, &["a"]).unwrap_err().to_string();
        assert!(failed(b"").contains("an empty file"));
        assert!(failed(b"a,a\n").contains("\"a\" in columns 0 and 1"));
        assert!(failed(b"b,a\n1,x\n").contains("x.csv:2: column \"a\""));
        assert!(failed(b"a,b\n1\n").contains("x.csv:2"));
        assert!(failed(b"a\n1e99\n").contains("within the range of f32"));
        assert!(failed(b"b\n1\n").contains("a column \"a\""));
    }

    #[test]
    fn a_blank_line_is_never_left_out_silently() {
        let read = |bytes: &[u8]| csv(bytes, "x.csv", &names(&["a"]), Absent::Refuse);
        for (bytes, line) in [
            (&b"a\n1\n\n2\n"[..], 3),
            (b"a\r\n1\r\n\r\n2\r\n", 3),
            (b"a,b\n\n1,2\n", 2),
            (b"a,b\r\n1,2\r\n3,4\r\n\r\n5,6", 4),
            (b"a\n1\n\n", 3),
            (b"a\n\n", 2),
        ] {
            let failure = read(bytes).unwrap_err();
            assert!(
                failure.refusal().got().contains("a blank line"),
                "{failure}"
            );
            assert_eq!(failure.refusal().at(), format!("x.csv:{line}"), "{bytes:?}");
        }
        assert_eq!(read(b"a,b\n1,2\n\n\n").unwrap().count(), 1);
        assert_eq!(read(b"a\n1\n\"\"\n2").unwrap().count(), 3);
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
        let read = |bytes: &[u8]| npy(bytes, "x.npy", &names(&["a"]));
        let rows = read(&npy_file(header, &[0; 8])).unwrap();
        assert_eq!((rows.width, rows.values), (1, vec![0.0, 0.0]));

        let failed = |header: &str, data: &[u8]| {
            let failure = read(&npy_file(header, data)).unwrap_err();
            failure.refusal().got().to_string()
        };
        assert!(failed(header, &[0; 7]).contains("7 bytes"));
        assert!(failed(&header.replace("f4", "f8"), &[0; 8]).contains("<f8"));
        assert!(failed(&header.replace("False", "True"), &[0; 8]).contains("True"));
        assert!(failed(&header.replace("(2, 1)", "(2,)"), &[0; 8]).contains("(2,)"));
        for shape in ["(-1, 1)", "(1e3, 1)", "(2, 1.5)"] {
            let got = failed(&header.replace("(2, 1)", shape), &[0; 8]);
            assert_eq!(got, format!("shape {shape}"));
        }
        assert!(failed(&header.replace("(2, 1)", "(1, 2)"), &[0; 8]).contains('2'));
        let huge = header.replace("(2, 1)", "(99999999999999, 99999999999999)");
        assert!(failed(&huge, &[0; 8]).contains("8 bytes"));
        let file = npy_file(header, &[0; 8]);
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "cut at {end}");
        }
    }
}
