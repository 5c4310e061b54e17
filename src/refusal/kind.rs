//! The table of refusal codes: one line a kind, with its code, name and message.

use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($(
        $(#[doc = $doc:literal])+
        $kind:ident = $code:literal, $name:literal, $message:literal;
    )+) => {
        /// A kind of refusal.
        ///
        /// The hundreds of a code name the step: 1 size and seal, 2 format, hash and signature,
        /// 3 structure and limits, 4 schema, 5 golden rows and kernel, 6 watched directory,
        /// 7 feature list of a database, 8 fleet, 9 import of a model. Codes are never reused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum RefusalKind {
            $($(#[doc = $doc])+ $kind = $code,)+
        }

        impl RefusalKind {
            /// All kinds, ascending by code.
            pub const ALL: &'static [RefusalKind] = &[$(RefusalKind::$kind,)+];

            /// Returns the stable number.
            pub const fn code(self) -> u16 {
                self as u16
            }

            /// Returns the kind of a number.
            pub const fn from_code(code: u16) -> Option<RefusalKind> {
                match code {
                    $($code => Some(RefusalKind::$kind),)+
                    _ => None,
                }
            }

            /// Returns the stable name, in kebab case.
            pub const fn name(self) -> &'static str {
                match self { $(RefusalKind::$kind => $name,)+ }
            }

            /// Returns the meaning in a few words.
            pub const fn message(self) -> &'static str {
                match self { $(RefusalKind::$kind => $message,)+ }
            }
        }
    };
}

kinds! {
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
    /// The content does not have the hash in the header.
    ContentHash = 206, "content-hash", "the content does not match its hash";
    /// A reserved field or gap is not zero.
    Reserved = 207, "reserved", "a reserved byte is not zero";
    /// The signature is malformed, or covers other content.
    Signature = 208, "signature", "the signature does not fit the content";
    /// The signing key is not trusted.
    SignatureKey = 209, "signature-key", "the key that signed is not trusted";
    /// The table is not signed, and only signed tables are accepted.
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
    /// A feature's kind is unknown.
    FeatureKind = 308, "feature-kind", "a feature's kind is unknown";
    /// The ensemble was built with another feature list.
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
    /// Nodes do not form a tree: a cycle, a node with two parents, or a node without one.
    Cycle = 318, "cycle", "the nodes do not form a tree";
    /// A tree is deeper than its record or the limit allows.
    TooDeep = 319, "too-deep", "a tree is too deep";
    /// A padding record has content.
    Padding = 320, "padding", "a padding record is malformed";
    /// The trees are not deepest first, or their source positions are not a permutation.
    TreeOrder = 321, "tree-order", "the trees' order or source positions are malformed";
    /// The margin's binary point is out of range.
    MarginShift = 322, "margin-shift", "the binary point of margins is out of range";
    /// An attainable margin is out of range, or differs from the header.
    MarginRange = 323, "margin-range", "attainable margins are out of range";
    /// The score map's margins do not ascend.
    ScoreMap = 324, "score-map", "the score map does not ascend";
    /// A golden row's margin is outside the attainable ones.
    GoldenMargin = 325, "golden-margin", "a golden row's margin is out of range";
    /// The provenance is not UTF-8.
    Provenance = 326, "provenance", "the provenance is not text";
    /// The table has no trees.
    NoTrees = 327, "no-trees", "the table has no trees";
    /// A set of bins, or a reference to one, is malformed.
    Set = 328, "set", "a set of bins is malformed";
    /// A split uses a mark for missing values that its lane does not have.
    MissingMark = 329, "missing-mark", "a split's mark for missing values is malformed";
    /// The detections' ids do not ascend.
    DetectionId = 340, "detection-id", "the detections' ids do not ascend";
    /// A detection's name is malformed or duplicate.
    DetectionName = 341, "detection-name", "a detection's name is malformed or stands twice";
    /// A detection's record is malformed.
    Detection = 342, "detection", "a detection is malformed";
    /// A detection's condition is malformed.
    Condition = 343, "condition", "a condition is malformed";
    /// A verified bot's name is malformed or duplicate.
    BotName = 344, "bot-name", "a verified bot's name is malformed or stands twice";
    /// A verified bot's record is malformed.
    Bot = 345, "bot", "a verified bot is malformed";
    /// A range of addresses names a bot that does not exist.
    BotIndex = 346, "bot-index", "a bot index is out of range";
    /// A range of addresses is malformed, or overlaps or precedes the range before it.
    BotRange = 347, "bot-range", "address ranges are malformed or do not ascend";

    /// The host's schema has no such feature.
    FeatureUnknown = 401, "feature-unknown", "the host cannot fill a feature";
    /// The host's feature of that name has another kind.
    FeatureKindMismatch = 402, "feature-kind-mismatch", "the host's feature has another kind";

    /// The kernel that would run does not reproduce a golden row.
    Golden = 501, "golden", "the kernel does not reproduce a golden row";
    /// The kernel is unknown, not available on this machine, or does not support the table.
    Kernel = 502, "kernel", "no such kernel can run this table";

    /// The file `active` is malformed.
    Pointer = 601, "pointer", "the pointer to the active table is malformed";
    /// The file named by the pointer has other content, or is incomplete.
    PointerContent = 602, "pointer-content", "the file is not the one that the pointer names";
    /// A generation is not above the previous one. A rollback publishes the older table as a new
    /// generation.
    Generation = 603, "generation", "the generation does not go forward";
    /// The file `switches` is malformed.
    Switches = 604, "switches", "the switches are malformed";
    /// Another process holds the directory's lock.
    Busy = 605, "busy", "the directory is locked";
    /// A file or a folder of the directory cannot be read or written.
    Directory = 606, "directory", "the directory cannot be used";
    /// The generation does not exist, or there is none to go back to.
    NoGeneration = 607, "no-generation", "there is no such generation";
    /// The selector names nothing that can be switched.
    Selector = 608, "selector", "nothing like that can be switched";
    /// The text of a key is malformed, or its file can be read by others.
    Key = 609, "key", "the key cannot be used";
    /// The ledger has gaps or unknown records.
    Ledger = 610, "ledger", "the ledger is damaged";
    /// Another process holds the engine's state.
    State = 611, "state", "the engine's state cannot be used";
    /// The control thread recovered from a panic.
    Internal = 612, "internal", "the control thread failed, and goes on";
    /// The table shifts scores or sizes beyond the bounds. A person can force it.
    Quarantined = 613, "quarantined", "the table differs too much from the running one";
    /// The engine's watchdog went back: verdicts under the new table were too different.
    Reverted = 614, "reverted", "the engine went back to the table before";
    /// The file `shadows` is malformed, the shadow does not exist, or there is no room for it.
    Shadow = 615, "shadow", "that cannot be tried in shadow";
    /// The table's own number is below the last accepted one, and this is no rollback.
    Replayed = 616, "replayed", "the table is older than the one before";

    /// The database cannot be reached, refuses the query, or answers with something else than rows.
    ListDatabase = 701, "list-database", "the database gives no feature list";
    /// The answer has no rows: a wrong table, or a lost permission.
    ListEmpty = 702, "list-empty", "the feature list is empty";
    /// A row belongs to another database or table.
    ListForeign = 703, "list-foreign", "the feature list has rows of another table";
    /// A name in the list cannot be a feature's name.
    ListName = 704, "list-name", "a name in the feature list is malformed";
    /// A name is in the list twice.
    ListDuplicate = 705, "list-duplicate", "a name is in the feature list twice";
    /// The list has more rows than a table has features.
    ListOverCapacity = 706, "list-over-capacity", "the feature list is over capacity";
    /// The list lacks a feature that the trees use.
    ListVanished = 707, "list-vanished", "the feature list lacks a feature";
    /// The list has a column that the trees do not use.
    ListUnknown = 708, "list-unknown", "the feature list has an unknown column";
    /// A column's type holds no values of the feature's kind.
    ListType = 709, "list-type", "a column's type does not fit its feature";
    /// A column has another type than in the table that was published last.
    ListTypeChanged = 710, "list-type-changed", "a column's type changed";
    /// The number of features changed by more than the bound.
    ListCountChanged = 711, "list-count-changed", "the number of features changed too much";

    /// A value in the fleet's store is malformed.
    FleetRecord = 801, "fleet-record", "a record of the fleet is malformed";
    /// A step on the fleet's store failed: no answer, no permission, or another content.
    FleetStore = 802, "fleet-store", "a step on the fleet's store failed";
    /// Another publisher changed the record in the meantime.
    FleetCrossed = 803, "fleet-crossed", "another publisher was faster";
    /// Nodes have later values than the newest signed one of the store.
    FleetStale = 804, "fleet-stale", "the fleet's store is older than its nodes";

    /// The model file is over capacity.
    ModelTooLarge = 901, "model-too-large", "the model file is too large";
    /// The file is no model of an importable format.
    ModelFormat = 902, "model-format", "the file is no model of a known format";
    /// The model file is cut off or not well-formed.
    ModelMalformed = 903, "model-malformed", "the model file is malformed";
    /// A field of the model is missing, or has another type or length.
    ModelShape = 904, "model-shape", "a field of the model is missing or has another shape";
    /// A number, an index or a name of the model is out of range.
    ModelValue = 905, "model-value", "a value of the model is out of range";
    /// The model uses a construct that has no exact equivalent.
    ModelUnsupported = 906, "model-unsupported", "the model uses an unsupported construct";
    /// The model is over a capacity of [`limits`](crate::limits).
    ModelOverCapacity = 907, "model-over-capacity", "the model is over capacity";
    /// A feature is in the model twice.
    ModelDuplicate = 908, "model-duplicate", "a feature is in the model twice";
}

impl fmt::Display for RefusalKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No kind of refusal has this name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKind {
    /// The name.
    pub got: String,
}

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected the name of a refusal, got {:?}", self.got)
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for RefusalKind {
    type Err = UnknownKind;

    fn from_str(name: &str) -> Result<RefusalKind, UnknownKind> {
        let mut all = RefusalKind::ALL.iter().copied();
        all.find(|kind| kind.name() == name)
            .ok_or_else(|| UnknownKind { got: name.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_and_names_are_unique() {
        let all = RefusalKind::ALL;
        assert!(all.windows(2).all(|pair| pair[0].code() < pair[1].code()));
        let mut names: Vec<_> = all.iter().map(|kind| kind.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn names_outside_the_library_have_the_prefix_of_their_hundred() {
        for kind in RefusalKind::ALL.iter().filter(|kind| kind.code() >= 700) {
            let prefix = ["list-", "fleet-", "model-"][usize::from(kind.code() / 100 - 7)];
            assert!(kind.name().starts_with(prefix), "{kind}");
        }
    }

    #[test]
    fn codes_and_names_lead_back_to_their_kind() {
        for kind in RefusalKind::ALL {
            assert_eq!(RefusalKind::from_code(kind.code()), Some(*kind));
            assert_eq!(kind.to_string().parse(), Ok(*kind));
        }
        assert_eq!(RefusalKind::from_code(0), None);
        let unknown = UnknownKind {
            got: "no-such".into(),
        };
        assert_eq!("no-such".parse::<RefusalKind>(), Err(unknown));
    }
}
