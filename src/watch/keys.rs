//! Keys that sign tables, and the keys that an engine trusts.

use super::disk::read_small;
use crate::hex;
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::check_name;
use crate::table::format::{HEADER_BYTES, SIGNATURE_KEY_BYTES, SIGNATURE_OFFSET, SIGNED_PREFIX};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::fmt;
use std::path::Path;

/// The first word of a secret key's file.
const SECRET: &str = "hedgerow-secret-key-1";
/// The first word of a public key's file.
const PUBLIC: &str = "hedgerow-public-key-1";

/// The secret half of a key. It signs tables, and is never shown.
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

/// The public half of a key, and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; SIGNATURE_KEY_BYTES],
}

/// The keys that an engine trusts. The host gives them: a writer of the watched directory cannot
/// add one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    trusted: Vec<PublicKey>,
    required: bool,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn refused(at: &str, expected: &str, got: impl fmt::Display) -> Refusal {
    RefusalKind::Key.at(at, expected, got)
}

/// Parses a line `KIND NAME HEX`: the name and the 32 bytes. Refusals do not show the text: it may
/// be secret.
fn parse(kind: &str, text: &str, at: &str) -> Result<(String, [u8; 32]), Refusal> {
    let expected = format!("one line of `{kind} NAME` and 64 hexadecimal digits");
    let line = text.strip_suffix('\n').unwrap_or(text);
    let words: Vec<&str> = line.split(' ').collect();
    let [first, name, digits] = words.as_slice() else {
        let got = format!("{} words", words.len());
        return Err(refused(at, &expected, got));
    };
    if *first != kind {
        return Err(refused(at, &expected, "another kind of file"));
    }
    check_key_name(name, at)?;
    match hex::decode(digits) {
        Some(bytes) => Ok(((*name).into(), bytes)),
        None => Err(refused(at, &expected, "other digits, or another number")),
    }
}

fn check_key_name(name: &str, at: &str) -> Result<(), Refusal> {
    let expected = "a name without spaces, of 1 to 56 bytes";
    match check_name(name.as_bytes()) {
        Ok(()) if !name.contains(char::is_whitespace) => Ok(()),
        Ok(()) => Err(refused(at, expected, "a name that holds a space")),
        Err(problem) => Err(refused(at, expected, format!("a name that {problem}"))),
    }
}

impl SecretKey {
    /// Makes a new key from the system's random numbers.
    ///
    /// # Errors
    /// `Key` if the name is malformed, or if the system gives no random numbers.
    pub fn new(name: &str) -> Result<SecretKey, Refusal> {
        check_key_name(name, "name")?;
        let mut seed = [0u8; 32];
        let mut filled = 0usize;
        while let Some(rest) = seed.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let got = rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty())
                .map_err(|error| refused("key", "random numbers of the system", error))?;
            filled = filled.saturating_add(got);
        }
        Ok(SecretKey {
            name: name.into(),
            key: SigningKey::from_bytes(&seed),
        })
    }

    /// Parses the text of a key's file; `at` names the file in refusals.
    ///
    /// # Errors
    /// `Key`.
    pub fn parse(text: &str, at: &str) -> Result<SecretKey, Refusal> {
        let (name, seed) = parse(SECRET, text, at)?;
        let key = SigningKey::from_bytes(&seed);
        Ok(SecretKey { name, key })
    }

    /// Returns the text of the key's file. It is a secret.
    pub fn secret_text(&self) -> String {
        format!(
            "{SECRET} {} {}\n",
            self.name,
            hex::encode(&self.key.to_bytes())
        )
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            bytes: self.key.verifying_key().to_bytes(),
        }
    }

    /// Returns a table's file with a signature, which replaces one that was there. The caller has
    /// opened the file as a table.
    pub fn sign(&self, file: &[u8]) -> Vec<u8> {
        let mut signed = file.to_vec();
        let key = self.public().bytes;
        put(&mut signed, SIGNATURE_OFFSET, &key);
        let signature = self.key.sign(&message(&signed)).to_bytes();
        let at = SIGNATURE_OFFSET.saturating_add(SIGNATURE_KEY_BYTES);
        put(&mut signed, at, &signature);
        signed
    }
}

/// A signature over a text, and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteSignature {
    /// The public key, 64 hexadecimal digits.
    pub key: String,
    /// The signature, 128 hexadecimal digits.
    pub signature: String,
}

/// Returns the bytes that are signed for a text. A signature over a table, or for another purpose,
/// does not fit them.
fn note(purpose: &str, text: &str) -> Vec<u8> {
    let digest = Sha512::digest(text);
    [NOTE_PREFIX, purpose.as_bytes(), b"\n", &digest].concat()
}

/// The prefix of a text's purpose and digest.
const NOTE_PREFIX: &[u8] = b"hedgerow note 1\n";

impl SecretKey {
    /// Signs a text, such as the pointer of a fleet, for one purpose.
    pub fn sign_note(&self, purpose: &str, text: &str) -> NoteSignature {
        NoteSignature {
            key: self.public().id(),
            signature: hex::encode(&self.key.sign(&note(purpose, text)).to_bytes()),
        }
    }
}

impl Keys {
    /// Checks the signature of a text, like [`check`](Keys::check) for a table.
    ///
    /// # Errors
    /// `Key` if it is not by a trusted key, or if there is none and one is required.
    pub fn check_note(
        &self,
        purpose: &str,
        text: &str,
        signed: Option<&NoteSignature>,
    ) -> Result<(), Refusal> {
        let names = || match self.trusted.iter().map(PublicKey::name).collect::<Vec<_>>() {
            none if none.is_empty() => "no signature: no key is trusted".into(),
            names => format!("a signature by one of: {}", names.join(", ")),
        };
        let Some(signed) = signed else {
            return match self.required {
                true => Err(refused(purpose, &names(), "none")),
                false => Ok(()),
            };
        };
        let trusted = self
            .trusted
            .iter()
            .find(|trusted| trusted.id() == signed.key);
        let Some(trusted) = trusted else {
            return Err(refused(purpose, &names(), "one by another key"));
        };
        let verified = VerifyingKey::from_bytes(&trusted.bytes).and_then(|key| {
            let bytes = hex::decode(&signed.signature).unwrap_or([0; 64]);
            key.verify_strict(&note(purpose, text), &Signature::from_bytes(&bytes))
        });
        let got = format!("one by {} that is not over this text", trusted.name);
        verified.map_err(|_| refused(purpose, &names(), got))
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    let places = file.iter_mut().skip(at);
    places.zip(bytes).for_each(|(place, byte)| *place = *byte);
}

impl PublicKey {
    /// Reads the key of a file.
    ///
    /// # Errors
    /// `Directory` if the file cannot be read, `Key` if there is none or it holds no key.
    pub fn read(file: &Path) -> Result<PublicKey, Refusal> {
        let at = file.display().to_string();
        let no = |got: &str| refused(&at, "a file of a public key", got);
        let bytes = read_small(file)?.ok_or_else(|| no("none"))?;
        let text = String::from_utf8(bytes).map_err(|_| no("bytes that are no text"))?;
        PublicKey::parse(&text, &at)
    }

    /// Parses the text of a key's file; `at` names the file in refusals.
    ///
    /// # Errors
    /// `Key`, also if the digits are not a point of the curve.
    pub fn parse(text: &str, at: &str) -> Result<PublicKey, Refusal> {
        let (name, bytes) = parse(PUBLIC, text, at)?;
        VerifyingKey::from_bytes(&bytes)
            .map_err(|_| refused(at, "a public key", "digits that are none"))?;
        Ok(PublicKey { name, bytes })
    }

    /// Returns the text of the key's file.
    pub fn text(&self) -> String {
        format!("{PUBLIC} {} {}\n", self.name, self.id())
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key as 64 hexadecimal digits.
    pub fn id(&self) -> String {
        hex::encode(&self.bytes)
    }
}

impl Keys {
    /// Trusts these keys. If signatures are `required`, an unsigned table is refused.
    pub fn new(trusted: Vec<PublicKey>, required: bool) -> Keys {
        Keys { trusted, required }
    }

    /// Returns the trusted keys.
    pub fn trusted(&self) -> &[PublicKey] {
        &self.trusted
    }

    /// Checks the signature of a table's file whose content hash was checked: a good one by a
    /// trusted key, or none if none is required. Keys and signatures of small order are refused, so
    /// that a signature fits one content alone.
    ///
    /// # Errors
    /// `SignatureMissing`, `SignatureKey` or `Signature`.
    pub fn check(&self, file: &[u8]) -> Result<(), Refusal> {
        let at = "header.signature";
        let field = file.get(SIGNATURE_OFFSET..HEADER_BYTES).unwrap_or_default();
        let names = || {
            let names = self.trusted.iter().map(PublicKey::name);
            match (names.collect::<Vec<_>>().join(", "), self.required) {
                (none, true) if none.is_empty() => "a signature, and a key that is trusted".into(),
                (none, false) if none.is_empty() => "no signature: no key is trusted".into(),
                (names, _) => format!("a signature by one of: {names}"),
            }
        };
        let (Some(key), Some(signature)) = (
            field.first_chunk::<SIGNATURE_KEY_BYTES>(),
            field.last_chunk::<64>(),
        ) else {
            return Err(RefusalKind::Truncated.at(at, "a header", "less"));
        };
        if key.iter().all(|byte| *byte == 0) {
            return match self.required {
                true => Err(RefusalKind::SignatureMissing.at(at, names(), "none")),
                false => Ok(()),
            };
        }
        if !self.trusted.iter().any(|trusted| trusted.bytes == *key) {
            let got = format!("one by the key {}", hex::encode(key));
            return Err(RefusalKind::SignatureKey.at(at, names(), got));
        }
        let verified = VerifyingKey::from_bytes(key)
            .and_then(|key| key.verify_strict(&message(file), &Signature::from_bytes(signature)));
        verified.map_err(|_| {
            let got = format!("one by {} that is not over this content", hex::encode(key));
            RefusalKind::Signature.at(at, names(), got)
        })
    }
}

/// Returns the bytes that are signed for a file: see [`crate::table::format`].
fn message(file: &[u8]) -> Vec<u8> {
    let key_end = SIGNATURE_OFFSET.saturating_add(SIGNATURE_KEY_BYTES);
    let mut digest = Sha512::new();
    digest.update(file.get(..key_end).unwrap_or_default());
    digest.update(file.get(HEADER_BYTES..).unwrap_or_default());
    [SIGNED_PREFIX, &digest.finalize()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEFAULT_TABLE, Table};

    fn name(result: Result<(), Refusal>) -> &'static str {
        let kind = |refused: Refusal| refused.kind().expect("a kind");
        result.map_or_else(|refused| kind(refused).name(), |()| "good")
    }

    #[test]
    fn a_signature_fits_one_content_and_one_key() {
        let (key, other) = (SecretKey::new("k").unwrap(), SecretKey::new("o").unwrap());
        let signed = key.sign(DEFAULT_TABLE);
        let table = Table::from_bytes(&signed).unwrap();
        assert_eq!(table.signed_by(), Some(key.public().bytes));
        let unsigned = Table::from_bytes(DEFAULT_TABLE).unwrap();
        assert_eq!(unsigned.signed_by(), None);
        assert_eq!(table.content_id(), unsigned.content_id());

        let keys = Keys::new(vec![other.public(), key.public()], true);
        assert_eq!(name(keys.check(&signed)), "good");
        assert_eq!(name(keys.check(&other.sign(&signed))), "good");
        assert_eq!(name(keys.check(DEFAULT_TABLE)), "signature-missing");
        let only = Keys::new(vec![other.public()], false);
        assert_eq!(name(only.check(&signed)), "signature-key");
        assert_eq!(name(only.check(DEFAULT_TABLE)), "good");
        assert_eq!(name(Keys::default().check(&signed)), "signature-key");
        // Every signed part: header, hash, key, signature, contents, length.
        let mut places: Vec<usize> = (0..HEADER_BYTES).collect();
        places.extend([HEADER_BYTES, signed.len() / 2, signed.len() - 1]);
        for place in places {
            let mut changed = signed.clone();
            changed[place] ^= 1;
            assert_ne!(name(keys.check(&changed)), "good", "{place}");
        }
        assert_eq!(name(keys.check(&[&signed[..], &[0]].concat())), "signature");
        assert_eq!(name(keys.check(&signed[..signed.len() - 64])), "signature");
        assert_eq!(name(keys.check(&signed[..100])), "truncated");
    }

    #[test]
    fn a_signature_over_the_bare_file_is_none() {
        let key = SecretKey::new("k").unwrap();
        let mut signed = key.sign(DEFAULT_TABLE);
        let bare = key.key.sign(&signed).to_bytes();
        put(&mut signed, SIGNATURE_OFFSET + SIGNATURE_KEY_BYTES, &bare);
        let keys = Keys::new(vec![key.public()], true);
        assert_eq!(name(keys.check(&signed)), "signature");
    }

    #[test]
    fn a_note_is_signed_for_one_purpose_and_one_text() {
        let (key, other) = (SecretKey::new("k").unwrap(), SecretKey::new("o").unwrap());
        let keys = Keys::new(vec![key.public()], true);
        let signed = key.sign_note("pointer", "text");
        assert_eq!(keys.check_note("pointer", "text", Some(&signed)), Ok(()));
        let bad = |purpose: &str, text: &str, signed: &NoteSignature| {
            let refused = keys.check_note(purpose, text, Some(signed)).unwrap_err();
            assert!(refused.is(RefusalKind::Key), "{refused}");
        };
        bad("switches", "text", &signed);
        bad("pointer", "texT", &signed);
        bad("pointer", "text", &other.sign_note("pointer", "text"));
        let mut edited = signed.clone();
        edited.key = other.public().id();
        bad("pointer", "text", &edited);
        for place in 0..128 {
            let mut digits = signed.signature.clone().into_bytes();
            digits[place] = if digits[place] == b'0' { b'1' } else { b'0' };
            edited.key.clone_from(&signed.key);
            edited.signature = String::from_utf8(digits).unwrap();
            bad("pointer", "text", &edited);
        }
        for digits in ["", "é", &"z".repeat(128), &"0".repeat(128)] {
            edited.signature = digits.into();
            bad("pointer", "text", &edited);
        }
        assert!(keys.check_note("pointer", "text", None).is_err());
        let may = Keys::new(vec![key.public()], false);
        assert_eq!(may.check_note("pointer", "text", None), Ok(()));
        assert!(
            Keys::default()
                .check_note("pointer", "text", Some(&signed))
                .is_err()
        );
    }

    #[test]
    fn keys_are_read_as_they_are_written_and_no_secret_is_shown() {
        let key = SecretKey::new("ops-2026").unwrap();
        let text = key.secret_text();
        let again = SecretKey::parse(&text, "f").unwrap();
        assert_eq!(again.public(), key.public());
        let public = key.public().text();
        assert_eq!(PublicKey::parse(&public, "f").unwrap(), key.public());
        assert_eq!(PublicKey::parse(public.trim(), "f").unwrap(), key.public());
        let digits = text.split(' ').next_back().unwrap().trim();
        for bad in [
            "",
            "\n",
            &public,
            &text[..text.len() - 2],
            &text.replace("ops", "o ps"),
            &format!("{text}x"),
            &text.replace(digits, &"é".repeat(32)),
            &text.replace(digits, &"z".repeat(64)),
        ] {
            let refused = SecretKey::parse(bad, "f").unwrap_err().to_string();
            assert!(!refused.contains(&digits[..8]), "{refused}");
        }
        assert!(!format!("{key:?}").contains(&digits[..8]));
        assert!(PublicKey::parse(&text, "f").is_err());
        // No point of the curve has y = 2.
        let none = format!("{PUBLIC} k 02{}\n", "0".repeat(62));
        assert!(PublicKey::parse(&none, "f").is_err());
        for bad in ["", "a b", "a,b", &"x".repeat(57)] {
            assert!(SecretKey::new(bad).is_err(), "{bad:?}");
        }
    }
}
