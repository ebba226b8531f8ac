//! Signed URLs as streamers and attackers send them.

#![cfg(test)]

use std::time::Duration;

use kaibo_broadcast::{Algorithm, App, EmptyKey, KeyError, KeySet, Millis, Refusal, Secret, Stream};

const KEY: &str = "e12c46f2612d5106e2034781ab261ca3";
/// `5C271099` in Unix milliseconds.
const EXPIRES: Millis = Millis(0x5C27_1099 * 1000);
const SIGNED: &str = "txSecret=f85a2ab363fe4deaffef9754d79da6fe&txTime=5C271099";

fn app() -> App {
    "live".parse().unwrap()
}

fn stream(name: &str) -> Stream {
    name.parse().unwrap()
}

fn keys(algorithm: Algorithm) -> KeySet {
    KeySet::new(algorithm, Secret::new(KEY), None).unwrap()
}

fn verify(query: &str) -> Result<(), KeyError> {
    keys(Algorithm::Md5).verify(query, &app(), &stream("test"), EXPIRES).map(|_| ())
}

#[test]
fn the_printed_vectors_sign_and_verify() {
    for (algorithm, name, tx_time, tx_secret) in [
        (Algorithm::Md5, "test", "5C271099", "f85a2ab363fe4deaffef9754d79da6fe"),
        (Algorithm::Md5, "test", "5c271099", "9603387445825a481e6b7496aced5746"),
        (Algorithm::Md5, "Test", "5C271099", "b6c1eac03017e0a20e9e6aed69ef9961"),
        (
            Algorithm::Sha256,
            "test",
            "5C271099",
            "2fe51d13bff48deaddd7e4e086265e69d5a04a64db9a2cbc737bd585c472fd07",
        ),
        (
            Algorithm::HmacSha256,
            "test",
            "5C271099",
            "8bf8eddabde522be541cd59e675c525fb0fdceea73aa3a79e2324143419f1cf5",
        ),
    ] {
        let stream = stream(name);
        let query = format!("txSecret={tx_secret}&txTime={tx_time}");
        let credential = keys(algorithm).verify(&query, &app(), &stream, EXPIRES).unwrap();
        assert_eq!(credential.expires, EXPIRES);
        assert!(
            keys(algorithm)
                .verify(&query.replace(tx_secret, &tx_secret.to_uppercase()), &app(), &stream, EXPIRES)
                .is_ok()
        );
        if tx_time == "5C271099" {
            assert_eq!(keys(algorithm).sign(&app(), &stream, EXPIRES).query(), query);
        }
    }
}

#[test]
fn only_the_hmac_binds_a_url_to_its_app() {
    for (algorithm, bound) in
        [(Algorithm::Md5, false), (Algorithm::Sha256, false), (Algorithm::HmacSha256, true)]
    {
        let query = keys(algorithm).sign(&app(), &stream("test"), EXPIRES).query();
        let elsewhere = keys(algorithm).verify(&query, &"other".parse().unwrap(), &stream("test"), EXPIRES);
        assert_eq!(elsewhere == Err(KeyError::Mismatch), bound);
    }
}

#[test]
fn a_url_works_up_to_its_second_and_the_grace_period() {
    let at = |delta, millis| {
        let keys = keys(Algorithm::Md5).with_auth_delta(Duration::from_secs(delta));
        keys.verify(SIGNED, &app(), &stream("test"), Millis(EXPIRES.0 + millis))
    };
    assert!(at(0, 999).is_ok());
    assert!(matches!(at(0, 1000), Err(KeyError::Expired { ago: 1, .. })));
    assert!(at(60, 60_999).is_ok());
    assert!(matches!(at(60, 61_000), Err(KeyError::Expired { ago: 61, .. })));
}

#[test]
fn an_expired_url_still_says_which_credential_it_was() {
    let fresh = keys(Algorithm::Md5).verify(SIGNED, &app(), &stream("test"), EXPIRES).unwrap();
    let stale =
        keys(Algorithm::Md5).verify(SIGNED, &app(), &stream("test"), EXPIRES + Duration::from_secs(9));
    assert_eq!(stale, Err(KeyError::Expired { credential: fresh, ago: 9 }));
}

#[test]
fn an_expired_url_with_a_wrong_signature_is_just_wrong() {
    let late = EXPIRES + Duration::from_secs(9);
    let query = SIGNED.replace("f85a", "f85b");
    assert_eq!(keys(Algorithm::Md5).verify(&query, &app(), &stream("test"), late), Err(KeyError::Mismatch));
}

#[test]
fn a_backup_key_verifies_but_does_not_sign() {
    let rotating = KeySet::new(Algorithm::Md5, Secret::new("new"), Some(Secret::new(KEY))).unwrap();
    assert!(rotating.verify(SIGNED, &app(), &stream("test"), EXPIRES).is_ok());
    let signed = rotating.sign(&app(), &stream("test"), EXPIRES).query();
    assert_ne!(signed, SIGNED);
    assert!(rotating.verify(&signed, &app(), &stream("test"), EXPIRES).is_ok());
}

#[test]
fn a_url_for_the_far_future_is_refused_where_a_limit_is_set() {
    let keys = keys(Algorithm::Md5).with_max_ttl(Duration::from_secs(3600));
    let at = |before| keys.verify(SIGNED, &app(), &stream("test"), EXPIRES - Duration::from_secs(before));
    assert!(at(3600).is_ok());
    assert_eq!(at(3601), Err(KeyError::TooFarAhead { ahead: 3601, limit: 3600 }));
}

#[test]
fn attack_7_a_shifted_boundary_between_name_and_time() {
    let signed = keys(Algorithm::Md5).sign(&app(), &stream("room1"), Millis(0x66A0_B2C0 * 1000)).query();
    let shifted = signed.replace("txTime=66A0B2C0", "txTime=166A0B2C0");
    let answer = keys(Algorithm::Md5).verify(&shifted, &app(), &stream("room"), EXPIRES);
    assert_eq!(answer, Err(KeyError::BadTime));
}

#[test]
fn attack_8_bytes_of_a_length_extension_are_no_name() {
    for name in ["room1\0", "room1\u{80}\0\0admin"] {
        let refusal = Refusal::from(name.parse::<Stream>().unwrap_err());
        assert_eq!(
            (refusal.code().to_string().as_str(), refusal.status()),
            ("18/308", "NetStream.Publish.BadName")
        );
    }
}

#[test]
fn attack_9_times_that_are_not_8_digits() {
    for time in
        ["0x5C2710", "0x5C271099", "+5C27109", " 5C27109", "5C27109", "5C2710990", "5C27109G", "５C27109", ""]
    {
        assert_eq!(verify(&SIGNED.replace("5C271099", time)), Err(KeyError::BadTime), "{time:?}");
    }
    for time in ["5c271099", "FFFFFFFF", "00000000"] {
        assert_eq!(verify(&SIGNED.replace("5C271099", time)), Err(KeyError::Mismatch), "{time:?}");
    }
}

#[test]
fn attack_10_parameters_given_twice() {
    for (again, name) in [
        ("txTime=5C271099", "txTime"),
        ("txTime", "txTime"),
        ("txSecret=f85a2ab363fe4deaffef9754d79da6fe", "txSecret"),
        ("txSecret=", "txSecret"),
    ] {
        assert_eq!(verify(&format!("{SIGNED}&{again}")), Err(KeyError::Repeated { name }));
        assert_eq!(verify(&format!("{again}&{SIGNED}")), Err(KeyError::Repeated { name }));
    }
    assert_eq!(verify(&format!("a=b&{SIGNED}&a=c&&=")), Ok(()));
}

#[test]
fn attack_11_parameters_by_other_names() {
    for query in [
        SIGNED.replace("txSecret", "TXSECRET"),
        SIGNED.replace("txSecret", "tx%53ecret"),
        SIGNED.replace("txSecret", " txSecret"),
        SIGNED.replace("txSecret", "?txSecret"),
    ] {
        assert_eq!(verify(&query), Err(KeyError::NoSecret), "{query}");
    }
    assert_eq!(verify(&SIGNED.replace('&', ";")), Err(KeyError::NoTime));
}

#[test]
fn attack_12_no_or_half_a_credential_or_an_empty_key() {
    assert_eq!(verify(""), Err(KeyError::NoTime));
    assert_eq!(verify("txTime=5C271099"), Err(KeyError::NoSecret));
    assert_eq!(verify("txSecret=f85a2ab363fe4deaffef9754d79da6fe"), Err(KeyError::NoTime));
    assert_eq!(verify("txTime=5C271099&txSecret="), Err(KeyError::BadSecret { digits: 32 }));
    assert_eq!(KeySet::new(Algorithm::Md5, Secret::default(), None), Err(EmptyKey));
    assert_eq!(KeySet::new(Algorithm::Md5, Secret::new(KEY), Some(Secret::default())), Err(EmptyKey));
}

#[test]
fn attack_13_a_credential_for_another_stream_or_another_purpose() {
    let push = keys(Algorithm::Md5);
    let play = KeySet::new(Algorithm::Md5, Secret::new("another"), None).unwrap();
    assert_eq!(push.verify(SIGNED, &app(), &stream("Test"), EXPIRES), Err(KeyError::Mismatch));
    assert_eq!(play.verify(SIGNED, &app(), &stream("test"), EXPIRES), Err(KeyError::Mismatch));
    let played = play.sign(&app(), &stream("test"), EXPIRES).query();
    assert_eq!(push.verify(&played, &app(), &stream("test"), EXPIRES), Err(KeyError::Mismatch));
}

#[test]
fn attack_14_a_wrong_digit_is_refused_wherever_it_stands() {
    let secret = "f85a2ab363fe4deaffef9754d79da6fe";
    for at in 0..secret.len() {
        let other = if &secret[at..=at] == "0" { "1" } else { "0" };
        let query = SIGNED.replace(secret, &[&secret[..at], other, &secret[at + 1..]].concat());
        assert_eq!(verify(&query), Err(KeyError::Mismatch));
    }
}

#[test]
fn a_secret_of_another_algorithm_is_refused_before_hashing() {
    let md5 = keys(Algorithm::Sha256).verify(SIGNED, &app(), &stream("test"), EXPIRES);
    assert_eq!(md5, Err(KeyError::BadSecret { digits: 64 }));
}

#[test]
fn the_url_of_wechats_own_guide_is_well_formed() {
    let name = stream("wx40f8626ddf43d361_2796");
    let query = "txSecret=4b886b8127b82cde297c7ff6d76915a4&txTime=5efba7d0";
    assert_eq!(keys(Algorithm::Md5).verify(query, &app(), &name, EXPIRES), Err(KeyError::Mismatch));
}

#[test]
fn refusals_carry_the_numbers_of_tencent() {
    let credential = keys(Algorithm::Md5).verify(SIGNED, &app(), &stream("test"), EXPIRES).unwrap();
    for (error, code) in [
        (KeyError::NoTime, "18/500"),
        (KeyError::BadTime, "18/500"),
        (KeyError::Repeated { name: "txTime" }, "18/500"),
        (KeyError::Expired { credential, ago: 1 }, "18/501"),
        (KeyError::NoSecret, "18/502"),
        (KeyError::BadSecret { digits: 32 }, "18/502"),
        (KeyError::Repeated { name: "txSecret" }, "18/502"),
        (KeyError::Mismatch, "18/503"),
    ] {
        let refusal = Refusal::from(error);
        assert_eq!(
            (refusal.code().to_string().as_str(), refusal.status()),
            (code, "NetStream.Publish.Denied")
        );
    }
}

#[test]
fn nothing_prints_a_key_or_a_signature() {
    let keys = KeySet::new(Algorithm::Md5, Secret::new(KEY), Some(Secret::new("backup-key"))).unwrap();
    let signature = keys.sign(&app(), &stream("test"), EXPIRES);
    let credential = keys.verify(&signature.query(), &app(), &stream("test"), EXPIRES).unwrap();
    let printed =
        format!("{keys:?} {signature:?} {credential:?} {} {:#?}", Secret::new(KEY), Secret::new(KEY));
    for secret in [KEY, "backup-key", "f85a2ab363fe4deaffef9754d79da6fe"] {
        assert!(!printed.contains(secret), "{printed}");
    }
}
