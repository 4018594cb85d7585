//! What a word is.

use std::collections::BTreeMap;
use std::fs;

use ipc_examples::wordcount::{What, count_serially, count_words, list};
use proptest::prelude::*;

/// The rule as it is written down, without a thought for speed.
pub(crate) fn naive(bytes: &[u8]) -> Vec<(String, u64)> {
    let mut words = BTreeMap::new();
    for word in String::from_utf8_lossy(bytes).split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
    {
        *words.entry(word.chars().flat_map(char::to_lowercase).collect::<String>()).or_insert(0) += 1;
    }
    words.into_iter().collect()
}

fn counted(text: &str) -> Vec<(String, u64)> {
    count_words(text.as_bytes())
}

fn pairs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
    expected.iter().map(|&(word, count)| (word.to_owned(), count)).collect()
}

#[test]
fn words_are_runs_of_alphanumerics_in_lower_case() {
    assert_eq!(counted("The lock, the LOCK!"), pairs(&[("lock", 2), ("the", 2)]));
    assert_eq!(
        counted("x86_64 don't 3.14"),
        pairs(&[("14", 1), ("3", 1), ("64", 1), ("don", 1), ("t", 1), ("x86", 1)])
    );
    assert_eq!(counted("Été—été «ÉTÉ»"), pairs(&[("été", 3)]));
    assert_eq!(counted("東京 ΣΊΣΥΦΟΣ"), pairs(&[("σίσυφοσ", 1), ("東京", 1)]));
    assert_eq!(counted(" \n\t--"), []);
    assert_eq!(counted(""), []);
}

#[test]
fn bytes_that_are_not_utf8_stand_between_words() {
    assert_eq!(count_words(b"one\xfftwo\xc3"), pairs(&[("one", 1), ("two", 1)]));
    assert_eq!(count_words(b"\xe6\x9d one \xe6\x9d\xb1"), pairs(&[("one", 1), ("東", 1)]));
}

proptest! {
    #[test]
    fn text_is_counted_by_the_rule(text: String) {
        prop_assert_eq!(counted(&text), naive(text.as_bytes()));
    }

    #[test]
    fn bytes_are_counted_by_the_rule(
        pieces in prop::collection::vec(
            prop_oneof![
                "[a-zA-Z0-9 _.\n]{0,12}".prop_map(String::into_bytes),
                "[äÖßǅİΣK²٣東 ́]{0,4}".prop_map(String::into_bytes),
                prop::collection::vec(any::<u8>(), 0..4),
            ],
            0..40,
        )
    ) {
        let bytes = pieces.concat();
        prop_assert_eq!(count_words(&bytes), naive(&bytes));
    }
}

/// Files are read in parts, and no word or character may be cut where a part ends.
#[test]
fn large_files_are_counted_as_if_read_at_once() {
    let pieces: [&[u8]; 8] =
        [b"word ", "é".as_bytes(), "東京".as_bytes(), b"\xff", b"Longer", b"x", b".\n", b"\xe6\x9d"];
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("large.txt");
    let mut seed = 1_u64;
    for gap in [1, 7, 1 << 18, 1 << 20] {
        let mut bytes = Vec::new();
        while bytes.len() < 900_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            bytes.extend_from_slice(pieces[(seed >> 61) as usize]);
            if gap > 7 && seed >> 50 & 0x3fff == 0 {
                // One word over several parts.
                bytes.resize(bytes.len() + gap, b'w');
            }
        }
        bytes.resize(bytes.len() + gap, b'e');
        fs::write(&path, &bytes).unwrap();
        let count = count_serially(&list(Some(&path)).unwrap());
        assert!(count.words == naive(&bytes), "gap {gap}");
        assert_eq!(count.bytes, bytes.len() as u64);
        assert_eq!(count.problems.len(), 1);
        assert_eq!(count.problems[0].what, What::InvalidUtf8);
    }
}
