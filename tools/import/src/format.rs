//! Recognises files by their first bytes and keys, and refuses those that are not imported.

use crate::importers::{IMPORTERS, Importer};
use crate::json;
use hedgerow::Refusal;
use hedgerow::RefusalKind::ModelFormat;

/// How each library exports what is imported.
macro_rules! export {
    () => {
        "CatBoost: model.save_model(\"model.json\", format=\"json\"); \
         LightGBM: booster.save_model(\"model.txt\"); XGBoost: booster.save_model(\"model.json\")"
    };
}

/// Kinds of files that are recognised by their content and refused by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// A CatBoost model in its own binary form (`.cbm`).
    CatBoostBinary,
    /// A CatBoost model exported as source code.
    CatBoostSource,
    /// A LightGBM model as JSON (`dump_model`).
    LightGbmJson,
    /// An XGBoost model in the binary form before JSON (`.model`), or a booster's memory.
    XgBoostBinary,
    /// An XGBoost model as `dump_model` writes it, for people.
    XgBoostDump,
    /// An ONNX model.
    Onnx,
    /// A PMML model.
    Pmml,
    /// A Python pickle, joblib dump or the like.
    Pickle,
    /// A ZIP archive, which NumPy's and PyTorch's files are.
    Zip,
    /// A gzip stream.
    Gzip,
    /// A Zstandard stream.
    Zstd,
    /// An xz stream.
    Xz,
    /// A bzip2 stream.
    Bzip2,
    /// An LZ4 stream.
    Lz4,
    /// A zlib stream, which joblib's compressed dumps are.
    Zlib,
    /// A tar archive.
    Tar,
    /// What stands in place of a file in a repository with Git LFS.
    LfsPointer,
    /// XML that is no model, as an error of a file store.
    Xml,
    /// A NumPy array.
    Npy,
    /// A web page.
    Html,
    /// A table of comma-separated values.
    Csv,
    /// Text of 16-bit units.
    Utf16,
    /// JSON that is none of the models.
    OtherJson,
    /// An empty file.
    Empty,
    /// None of these.
    Unknown,
}

/// What a file is.
pub(crate) enum Recognised {
    Model(&'static Importer),
    Other(Format),
}

/// Recognises a file by its first bytes or, if it is JSON, by the keys of its top level.
///
/// # Errors
/// A malformed file that is JSON by its first bytes.
pub(crate) fn recognise(bytes: &[u8]) -> Result<Recognised, Refusal> {
    let other = |format| Ok(Recognised::Other(format));
    if let Some(&(_, format)) = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return other(format);
    }
    if is_onnx(bytes) {
        return other(Format::Onnx);
    }
    if is_text_pickle(bytes) {
        return other(Format::Pickle);
    }
    if is_zlib(bytes) {
        return other(Format::Zlib);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return other(Format::Tar);
    }
    if is_old_xgboost(bytes) {
        return other(Format::XgBoostBinary);
    }
    let start = bytes.trim_ascii_start();
    if let Some(importer) = IMPORTERS.iter().find(|one| one.sign.starts(start)) {
        return Ok(Recognised::Model(importer));
    }
    match start {
        [] => other(Format::Empty),
        [b'{', ..] => json_format(bytes),
        [b'[', ..] if is_dump(start) => other(Format::XgBoostDump),
        [b'[', ..] => other(Format::OtherJson),
        [b'<', ..] => other(markup(start)),
        _ => other(text(start)),
    }
}

/// Recognises a JSON object by the keys of its top level. Reads the whole file, so that a file that
/// is cut off is refused as such.
fn json_format(bytes: &[u8]) -> Result<Recognised, Refusal> {
    let keys: json::Keys = json::parse(&json::without_nan(bytes))?;
    let model = { IMPORTERS.iter() }.find(|one| keys.0.iter().any(|key| one.sign.has_key(key)));
    Ok(match model {
        Some(importer) => Recognised::Model(importer),
        None if keys.0.iter().any(|key| key == "tree_info") => {
            Recognised::Other(Format::LightGbmJson)
        }
        None => Recognised::Other(Format::OtherJson),
    })
}

/// Whether this is ONNX: a protobuf that starts with field 1, the version (up to 13 so far), before
/// field 2, the producer, or 7 or 8, the graph or the operator sets.
fn is_onnx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x08, 1..=31, 0x12 | 0x3a | 0x42, ..])
}

/// Whether this is a pickle of protocol 0 or 1, which have no mark: a list or a dictionary, or the
/// module and the name of a class, and a full stop at the end.
fn is_text_pickle(bytes: &[u8]) -> bool {
    let word = |line: &[u8]| {
        let parts = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.".contains(byte);
        !line.is_empty() && line.iter().all(parts)
    };
    let class = || {
        let mut lines = bytes.strip_prefix(b"c")?.splitn(3, |byte| *byte == b'\n');
        Some(word(lines.next()?) && word(lines.next()?) && lines.next().is_some())
    };
    const STARTS: [&[u8]; 6] = [b"(dp", b"(lp", b"(ip", b"]q", b"}q", b"(cp"];
    let starts = STARTS.iter().any(|start| bytes.starts_with(start));
    bytes.ends_with(b".") && (starts || class() == Some(true))
}

/// Whether this is zlib's header: deflate with a window of 32 KiB, and its check bits.
fn is_zlib(bytes: &[u8]) -> bool {
    match bytes {
        [0x78, flags, _, ..] => (0x7800 | u16::from(*flags)) % 31 == 0,
        _ => false,
    }
}

/// Whether this is XGBoost's old binary form: 136 bytes of parameters, then the objective's name
/// with its length before it.
fn is_old_xgboost(bytes: &[u8]) -> bool {
    let name = || {
        let (length, rest) = bytes.get(136..)?.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        rest.get(..length).filter(|_| length <= 64)
    };
    name().is_some_and(|name| name.contains(&b':') && name.iter().all(u8::is_ascii_graphic))
}

/// Whether this is what XGBoost's `dump_model` writes, as JSON; as text it begins `booster[0]:`.
fn is_dump(start: &[u8]) -> bool {
    let head = start.get(..start.len().min(256)).unwrap_or(start);
    String::from_utf8_lossy(head).contains("\"nodeid\"")
}

fn markup(start: &[u8]) -> Format {
    let head = start.get(..start.len().min(1024)).unwrap_or(start);
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    if head.contains("<pmml") {
        Format::Pmml
    } else if head.contains("<!doctype html") || head.contains("<html") {
        Format::Html
    } else if head.starts_with("<?xml") {
        Format::Xml
    } else {
        Format::Unknown
    }
}

fn text(start: &[u8]) -> Format {
    let head = start.get(..start.len().min(4096)).unwrap_or(start);
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or(head);
    let mut controls = line.iter().filter(|byte| byte.is_ascii_control());
    if controls.any(|byte| !b"\t\r".contains(byte)) {
        return Format::Unknown;
    }
    let text = String::from_utf8_lossy(head);
    if text.contains("catboost_model") || text.contains("CatboostModel") {
        Format::CatBoostSource
    } else if text.starts_with("booster[0]:") {
        Format::XgBoostDump
    } else if line.contains(&b',') {
        Format::Csv
    } else {
        Format::Unknown
    }
}

impl Format {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Format::CatBoostBinary => "a CatBoost model in binary form (.cbm)",
            Format::CatBoostSource => "a CatBoost model as source code",
            Format::LightGbmJson => "a LightGBM model in JSON",
            Format::XgBoostBinary => "an XGBoost model in the old binary form",
            Format::XgBoostDump => "an XGBoost model as dump_model writes it",
            Format::Onnx => "an ONNX model",
            Format::Pmml => "a PMML model",
            Format::Pickle => "a Python pickle",
            Format::Zip => "a ZIP archive",
            Format::Gzip => "a gzip stream",
            Format::Zstd => "a Zstandard stream",
            Format::Xz => "an xz stream",
            Format::Bzip2 => "a bzip2 stream",
            Format::Lz4 => "an LZ4 stream",
            Format::Zlib => "a zlib stream, such as a compressed joblib dump",
            Format::Tar => "a tar archive",
            Format::LfsPointer => "a Git LFS pointer",
            Format::Xml => "an XML document",
            Format::Npy => "a NumPy array",
            Format::Html => "a web page",
            Format::Csv => "comma-separated values",
            Format::Utf16 => "text in UTF-16",
            Format::OtherJson => "JSON that is no model known here",
            Format::Empty => "an empty file",
            Format::Unknown => "a file of unknown kind",
        }
    }

    /// Why a file of this kind is not imported.
    pub(crate) fn refusal(self) -> Refusal {
        let kinds: Vec<&str> = IMPORTERS.iter().map(|one| one.description).collect();
        let error = ModelFormat.at("the whole file", kinds.join(", or "), self.name());
        match self.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }

    /// How to get a file that is imported.
    fn hint(self) -> Option<&'static str> {
        match self {
            Format::CatBoostBinary | Format::CatBoostSource => Some(
                "load it in Python and export it: \
                 CatBoost().load_model(\"model.cbm\").save_model(\"model.json\", format=\"json\")",
            ),
            Format::Pickle => Some(concat!(
                "a pickle runs code when it is opened; export the model from Python: ",
                export!()
            )),
            Format::Onnx | Format::Pmml => Some(concat!(
                "import the model that it was exported from: ",
                export!()
            )),
            Format::Zip | Format::Gzip | Format::Tar => Some("unpack it first"),
            Format::Zstd | Format::Xz | Format::Bzip2 | Format::Lz4 => Some("unpack it first"),
            Format::Zlib => Some(concat!(
                "a joblib dump is a pickle, which runs code when it is opened; export the model \
                 from Python: ",
                export!()
            )),
            Format::LfsPointer => Some("the model itself is fetched by: git lfs pull"),
            Format::Xml => Some("the download may have failed: open the file and read it"),
            Format::Npy | Format::Csv => Some("these are rows, not a model"),
            Format::Utf16 => Some("save it anew in UTF-8"),
            Format::Html => Some("the download may have failed: open the file and read it"),
            Format::Empty => Some("the export or copy may have been cut off"),
            Format::XgBoostDump => {
                Some("it lacks what the model begins with: booster.save_model(\"model.json\")")
            }
            Format::XgBoostBinary => Some(
                "load it with the XGBoost that saved it, from 1.0 on, and save it anew: \
                 booster.save_model(\"model.json\")",
            ),
            Format::LightGbmJson => Some("export it as text: booster.save_model(\"model.txt\")"),
            _ => None,
        }
    }
}

/// What files begin with.
const MAGICS: &[(&[u8], Format)] = &[
    (b"CBM1", Format::CatBoostBinary),
    (b"binf", Format::XgBoostBinary),
    (b"CONFIG-offset:", Format::XgBoostBinary),
    (b"PK\x03\x04", Format::Zip),
    (b"\x1f\x8b", Format::Gzip),
    (b"\x28\xb5\x2f\xfd", Format::Zstd),
    (b"\xfd7zXZ\0", Format::Xz),
    (b"BZh", Format::Bzip2),
    (b"\x04\x22\x4d\x18", Format::Lz4),
    (b"version https://git-lfs", Format::LfsPointer),
    (b"\x93NUMPY", Format::Npy),
    (b"\x80\x00", Format::Pickle),
    (b"\x80\x01", Format::Pickle),
    (b"\x80\x02", Format::Pickle),
    (b"\x80\x03", Format::Pickle),
    (b"\x80\x04", Format::Pickle),
    (b"\x80\x05", Format::Pickle),
    (b"\xff\xfe", Format::Utf16),
    (b"\xfe\xff", Format::Utf16),
];

/// What some editors and shells write before text in UTF-8. All models that are text may begin
/// with it, and it is no part of them.
pub(crate) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
