//! Keys that sign tables, and the keys that an engine trusts.

use super::disk::read_small;
use crate::refusal::{Refusal, RefusalKind};
use crate::schema::check_name;
use crate::table::format::{HEADER_BYTES, SIGNATURE_KEY_BYTES, SIGNATURE_OFFSET, SIGNED_PREFIX};
use crate::table::validate::hex;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha512};
use std::fmt;
use std::path::Path;

/// What a secret key's file starts with.
const SECRET: &str = "hedgerow-secret-key-1";
/// What a public key's file starts with.
const PUBLIC: &str = "hedgerow-public-key-1";

/// The secret half of a key. It signs tables; it is never shown.
pub struct SecretKey {
    name: String,
    key: SigningKey,
}

/// The public half of a key, and what people call it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: String,
    bytes: [u8; SIGNATURE_KEY_BYTES],
}

/// The keys that an engine trusts. Those who may write to the watched directory cannot add one:
/// keys are the host's to give.
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

/// The name and the 32 bytes of a line `KIND NAME HEX`. What came is not shown: it may be secret.
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
    let mut bytes = [0u8; 32];
    let whole = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(std::str::from_utf8);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        let value = pair.ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        match value.filter(|_| whole) {
            Some(value) => *byte = value,
            None => return Err(refused(at, &expected, "other digits, or another number")),
        }
    }
    Ok(((*name).into(), bytes))
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
    /// A new key, from the system's random numbers.
    ///
    /// # Errors
    /// Where the name is malformed, or the system gives no random numbers.
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

    /// The key of a file's text; `at` names the file in refusals.
    ///
    /// # Errors
    /// `Key`.
    pub fn parse(text: &str, at: &str) -> Result<SecretKey, Refusal> {
        let (name, seed) = parse(SECRET, text, at)?;
        let key = SigningKey::from_bytes(&seed);
        Ok(SecretKey { name, key })
    }

    /// The text of its file. Whoever reads it can sign.
    pub fn secret_text(&self) -> String {
        format!("{SECRET} {} {}\n", self.name, hex(&self.key.to_bytes()))
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey {
            name: self.name.clone(),
            bytes: self.key.verifying_key().to_bytes(),
        }
    }

    /// A table's file, signed; a signature that was there goes. The caller has opened it as a
    /// table.
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

/// A signature over a text, and the key that it is by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoteSignature {
    /// 64 hexadecimal digits.
    pub key: String,
    /// 128 hexadecimal digits.
    pub signature: String,
}

/// What is signed of a text: a signature over a table, or for another purpose, is none.
fn note(purpose: &str, text: &str) -> Vec<u8> {
    let digest = Sha512::digest(text);
    [NOTE_PREFIX, purpose.as_bytes(), b"\n", &digest].concat()
}

/// What stands before a text's purpose and digest.
const NOTE_PREFIX: &[u8] = b"hedgerow note 1\n";

impl SecretKey {
    /// Signs a text, such as the pointer of a fleet, for one purpose.
    pub fn sign_note(&self, purpose: &str, text: &str) -> NoteSignature {
        NoteSignature {
            key: self.public().id(),
            signature: hex(&self.key.sign(&note(purpose, text)).to_bytes()),
        }
    }
}

impl Keys {
    /// Checks the signature of a text, as [`check`](Keys::check) does a table's.
    ///
    /// # Errors
    /// `Key`, where it is none by a trusted key, or there is none and one is required.
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
            let bytes = unhex(&signed.signature).unwrap_or([0; 64]);
            key.verify_strict(&note(purpose, text), &Signature::from_bytes(&bytes))
        });
        let got = format!("one by {} that is not over this text", trusted.name);
        verified.map_err(|_| refused(purpose, &names(), got))
    }
}

/// The bytes of 128 hexadecimal digits.
fn unhex(digits: &str) -> Option<[u8; 64]> {
    let mut bytes = [0u8; 64];
    let whole = digits.len() == 128 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let pairs = digits.as_bytes().chunks(2).map(std::str::from_utf8);
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(pair.ok()?, 16).ok()?;
    }
    whole.then_some(bytes)
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

    /// The key of a file's text; `at` names the file in refusals.
    ///
    /// # Errors
    /// `Key`, also where the digits are no point of the curve.
    pub fn parse(text: &str, at: &str) -> Result<PublicKey, Refusal> {
        let (name, bytes) = parse(PUBLIC, text, at)?;
        VerifyingKey::from_bytes(&bytes)
            .map_err(|_| refused(at, "a public key", "digits that are none"))?;
        Ok(PublicKey { name, bytes })
    }

    /// The text of its file.
    pub fn text(&self) -> String {
        format!("{PUBLIC} {} {}\n", self.name, self.id())
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its 64 hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.bytes)
    }
}

impl Keys {
    /// These keys are trusted. Where signatures are `required`, an unsigned table is refused.
    pub fn new(trusted: Vec<PublicKey>, required: bool) -> Keys {
        Keys { trusted, required }
    }

    /// The keys.
    pub fn trusted(&self) -> &[PublicKey] {
        &self.trusted
    }

    /// Checks the signature of a table's file, of which the content hash was checked: none where
    /// none is required, else a good one by a trusted key. Strict: keys and signatures of small
    /// order are refused, so that a signature fits one content alone.
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
            let got = format!("one by the key {}", hex(key));
            return Err(RefusalKind::SignatureKey.at(at, names(), got));
        }
        let verified = VerifyingKey::from_bytes(key)
            .and_then(|key| key.verify_strict(&message(file), &Signature::from_bytes(signature)));
        verified.map_err(|_| {
            let got = format!("one by {} that is not over this content", hex(key));
            RefusalKind::Signature.at(at, names(), got)
        })
    }
}

/// What is signed of a file: see [`crate::table::format`].
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
        // Every part of what is signed: header, hash, key, signature, contents, length.
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
        // y = 2 is the height of no point of the curve.
        let none = format!("{PUBLIC} k 02{}\n", "0".repeat(62));
        assert!(PublicKey::parse(&none, "f").is_err());
        for bad in ["", "a b", "a,b", &"x".repeat(57)] {
            assert!(SecretKey::new(bad).is_err(), "{bad:?}");
        }
    }
}
