//! Why a table is refused: one variant for each thing that can be wrong, with a stable code.

use std::fmt;

/// What a refusal says besides its kind: where, what was expected, and what came.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detail {
    /// Where in the artefact: a section, record or field, as in `lanes[3].feature`.
    pub at: String,
    /// What would have been accepted.
    pub expected: String,
    /// What was found.
    pub got: String,
}

impl Detail {
    /// A detail of three texts.
    pub fn new(at: impl ToString, expected: impl ToString, got: impl ToString) -> Box<Detail> {
        Box::new(Detail {
            at: at.to_string(),
            expected: expected.to_string(),
            got: got.to_string(),
        })
    }
}

macro_rules! refusals {
    ($(
        $(#[doc = $doc:literal])+
        $variant:ident = $code:literal, $name:literal, $message:literal;
    )+) => {
        /// Why a table was refused.
        ///
        /// The code's hundreds tell the step of admission: 1 size and seal, 2 format, hash and
        /// signature, 3 structure and limits, 4 schema, 5 golden rows and kernel; 6 is for the
        /// [directory](crate::watch::RefusalKind). Codes are never reused.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum OpenError {
            $($(#[doc = $doc])+ $variant(Box<Detail>),)+
        }

        impl OpenError {
            /// Every kind of refusal: code and name, ascending by code.
            pub const ALL: &'static [(u16, &'static str)] = &[$(($code, $name),)+];

            /// The stable number of this kind of refusal.
            pub fn code(&self) -> u16 {
                match self { $(OpenError::$variant(_) => $code,)+ }
            }

            /// The stable name of this kind of refusal, in kebab case.
            pub fn name(&self) -> &'static str {
                match self { $(OpenError::$variant(_) => $name,)+ }
            }

            /// What this kind of refusal means, in a few words.
            pub fn message(&self) -> &'static str {
                match self { $(OpenError::$variant(_) => $message,)+ }
            }

            /// Where it was found, what was expected, and what came.
            pub fn detail(&self) -> &Detail {
                match self { $(OpenError::$variant(detail) => detail,)+ }
            }
        }
    };
}

refusals! {
    /// The file cannot be opened or read.
    Io = 101, "io", "the file cannot be read";
    /// The file is empty.
    Empty = 102, "empty", "the file is empty";
    /// The file is larger than `TABLE_BYTES_MAX`.
    TooLarge = 103, "too-large", "the file is over capacity";
    /// The file changed its length while it was being copied.
    Changing = 104, "changing", "the file changed while it was read";
    /// The system refused to seal or map the copy.
    Seal = 105, "seal", "the copy of the file cannot be sealed";

    /// Shorter than a header.
    Truncated = 201, "truncated", "the file ends too early";
    /// Not a table at all.
    Magic = 202, "magic", "this is not a hedgerow table";
    /// Written with the other byte order.
    Endianness = 203, "endianness", "the table has another byte order";
    /// Another version of the format.
    FormatVersion = 204, "format-version", "the table has another format version";
    /// More bytes than the header says.
    TrailingBytes = 205, "trailing-bytes", "bytes follow the end of the table";
    /// The content does not have the hash that the header says.
    ContentHash = 206, "content-hash", "the content does not match its hash";
    /// A field or a gap that must be zero is not.
    Reserved = 207, "reserved", "a reserved byte is not zero";
    /// The signature is malformed, or not one over this content.
    Signature = 208, "signature", "the signature does not fit the content";
    /// The key that signed is not one of those that are trusted.
    SignatureKey = 209, "signature-key", "the key that signed is not trusted";
    /// Only signed tables are taken, and this one is not.
    SignatureMissing = 210, "signature-missing", "the table is not signed";

    /// A section does not start where the one before it ends, or reaches beyond the file.
    SectionOffset = 301, "section-offset", "a section is not in its place";
    /// A section's length is not its count times its record size.
    SectionLength = 302, "section-length", "a section has a wrong length";
    /// A count is over its capacity.
    OverCapacity = 303, "over-capacity", "a count is over capacity";
    /// A count disagrees with another count.
    CountMismatch = 304, "count-mismatch", "two counts disagree";
    /// The table has no features.
    NoFeatures = 305, "no-features", "the table has no features";
    /// Two features have the same name.
    FeatureDuplicate = 306, "feature-duplicate", "a feature's name stands twice";
    /// A feature's name is malformed.
    FeatureName = 307, "feature-name", "a feature's name is malformed";
    /// A feature's kind is not one of the known.
    FeatureKind = 308, "feature-kind", "a feature's kind is unknown";
    /// The fingerprint of the feature list is not the one that the ensemble was built with.
    Fingerprint = 309, "fingerprint", "feature list and ensemble do not belong together";
    /// A lane names a feature that does not exist.
    FeatureIndex = 310, "feature-index", "a feature index is out of range";
    /// A lane's record is malformed.
    Lane = 311, "lane", "a lane is malformed";
    /// A border is NaN or infinite.
    BorderNotFinite = 312, "border-not-finite", "a border is not finite";
    /// A lane's borders do not ascend.
    BorderOrder = 313, "border-order", "borders do not ascend";
    /// A split names a lane that does not exist.
    LaneIndex = 314, "lane-index", "a lane index is out of range";
    /// A split names a border that its lane does not have.
    Threshold = 315, "threshold", "a split's threshold is out of range";
    /// A tree reaches a leaf that does not exist.
    LeafIndex = 316, "leaf-index", "a leaf index is out of range";
    /// A node names a child outside its tree.
    ChildIndex = 317, "child-index", "a child index is out of range";
    /// A tree's nodes do not form a tree: a cycle, a node with two parents, or with none.
    Cycle = 318, "cycle", "the nodes do not form a tree";
    /// A tree is deeper than it says, or than allowed.
    TooDeep = 319, "too-deep", "a tree is too deep";
    /// A padding record is not as prescribed.
    Padding = 320, "padding", "a padding record is malformed";
    /// The trees do not stand deepest first, or do not take each place of the source once.
    TreeOrder = 321, "tree-order", "the trees' order or source positions are malformed";
    /// The margin's binary point is out of range.
    MarginShift = 322, "margin-shift", "the binary point of margins is out of range";
    /// An attainable margin is out of range, or is not what the header says.
    MarginRange = 323, "margin-range", "attainable margins are out of range";
    /// The score map's margins do not ascend.
    ScoreMap = 324, "score-map", "the score map does not ascend";
    /// A golden row's margin is outside the attainable ones.
    GoldenMargin = 325, "golden-margin", "a golden row's margin is out of range";
    /// The provenance is not UTF-8.
    Provenance = 326, "provenance", "the provenance is not text";
    /// The table has no trees.
    NoTrees = 327, "no-trees", "the table has no trees";

    /// A set of bins, or the naming of one, is malformed.
    Set = 328, "set", "a set of bins is malformed";
    /// A split sends missing values left by a mark that its lane does not have.
    MissingMark = 329, "missing-mark", "a split's mark for missing values is malformed";
    /// The detections' ids do not ascend.
    DetectionId = 340, "detection-id", "the detections' ids do not ascend";
    /// A detection's name is malformed, or stands twice.
    DetectionName = 341, "detection-name", "a detection's name is malformed or stands twice";
    /// A detection's record is malformed.
    Detection = 342, "detection", "a detection is malformed";
    /// A detection's condition is malformed.
    Condition = 343, "condition", "a condition is malformed";
    /// A verified bot's name is malformed, or stands twice.
    BotName = 344, "bot-name", "a verified bot's name is malformed or stands twice";
    /// A verified bot's record is malformed.
    Bot = 345, "bot", "a verified bot is malformed";
    /// A range of addresses names a bot that does not exist.
    BotIndex = 346, "bot-index", "a bot index is out of range";
    /// A range of addresses is malformed, or does not lie behind the one before.
    BotRange = 347, "bot-range", "address ranges are malformed or do not ascend";

    /// The host's schema has no such feature.
    FeatureUnknown = 401, "feature-unknown", "the host cannot fill a feature";
    /// The host's feature of that name has another kind.
    FeatureKindMismatch = 402, "feature-kind-mismatch", "the host's feature has another kind";

    /// The kernel that would run does not reproduce a golden row.
    Golden = 501, "golden", "the kernel does not reproduce a golden row";
    /// No kernel of that name, or it is not available here, or it does not support the table.
    Kernel = 502, "kernel", "no such kernel can run this table";
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Detail { at, expected, got } = self.detail();
        write!(
            f,
            "{} ({}): {at}: expected {expected}, got {got}",
            self.message(),
            self.name()
        )
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_ascend() {
        for pair in OpenError::ALL.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{pair:?}");
        }
        let mut names: Vec<_> = OpenError::ALL.iter().map(|(_, name)| name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OpenError::ALL.len());
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_came() {
        let refused = OpenError::Threshold(Detail::new("nodes[3].threshold", "below 7", 200));
        assert_eq!(refused.code(), 315);
        assert_eq!(
            refused.to_string(),
            "a split's threshold is out of range (threshold): nodes[3].threshold: \
             expected below 7, got 200"
        );
    }
}
