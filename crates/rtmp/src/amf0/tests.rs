use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Option<Value>, Cause> {
    Reader::new(bytes, Limits::default()).value().map_err(|error| error.cause)
}

fn written(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes, value);
    bytes
}

fn nested(marker: &[u8], depth: usize) -> Vec<u8> {
    marker.repeat(depth)
}

#[test]
fn reads_every_type() {
    let cases: [(&[u8], Value); 12] = [
        (&[0, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0], 1.0.into()),
        (&[1, 1], Value::Boolean(true)),
        (b"\x02\x00\x04live", "live".into()),
        (b"\x03\x00\x01a\x05\x00\x00\x09", Value::object([("a", Value::Null)])),
        (&[6], Value::Undefined),
        (&[7, 0, 1], Value::Undefined),
        (b"\x0a\x00\x00\x00\x02\x05\x06", Value::StrictArray(vec![Value::Null, Value::Undefined])),
        (&[0x0B, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0, 0], Value::Date(1.0)),
        (b"\x0c\x00\x00\x00\x02ab", "ab".into()),
        (&[0x0D], Value::Undefined),
        (b"\x0f\x00\x00\x00\x03<a>", "<a>".into()),
        (b"\x10\x00\x03cls\x00\x01a\x01\x00\x00\x00\x09", Value::object([("a", Value::Boolean(false))])),
    ];
    for (bytes, value) in cases {
        assert_eq!(read(bytes), Ok(Some(value)), "{bytes:02x?}");
    }
}

#[test]
fn reads_one_amf3_scalar_inside() {
    let cases: [(&[u8], Value); 7] = [
        (&[0x11, 0x01], Value::Null),
        (&[0x11, 0x03], Value::Boolean(true)),
        (&[0x11, 0x04, 0x05], 5.0.into()),
        (&[0x11, 0x04, 0x81, 0x00], 128.0.into()),
        (&[0x11, 0x04, 0xFF, 0xFF, 0xFF, 0xFF], (-1.0).into()),
        (&[0x11, 0x05, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0], 1.0.into()),
        (b"\x11\x06\x09room", "room".into()),
    ];
    for (bytes, value) in cases {
        assert_eq!(read(bytes), Ok(Some(value)), "{bytes:02x?}");
    }
    assert_eq!(read(&[0x11, 0x0A, 0x0B, 0x01, 0x01]), Err(Cause::Unknown(0x0A)));
}

#[test]
fn a_wrong_count_or_a_missing_end_loses_no_property() {
    let value = Value::EcmaArray(vec![("width".to_owned(), 160.0.into())]);
    let mut bytes = written(&value);
    for count in [[0; 4], [0xFF; 4]] {
        bytes[1..5].copy_from_slice(&count);
        assert_eq!(read(&bytes), Ok(Some(value.clone())));
    }
    bytes.truncate(bytes.len() - 3);
    assert_eq!(read(&bytes), Ok(Some(value)));
}

#[test]
fn an_unknown_type_ends_the_values_where_it_stands() {
    let mut bytes = written(&"onMetaData".into());
    bytes.extend([41, 1, 2, 3]);
    let mut reader = Reader::new(&bytes, Limits::default());
    assert_eq!(reader.value(), Ok(Some("onMetaData".into())));
    assert_eq!(reader.value(), Err(Error { position: 14, cause: Cause::Unknown(41) }));
    assert_eq!(reader.value(), Ok(None));
}

#[test]
fn limits_hold_for_hostile_values() {
    // 70,000 arrays in each other, then objects, then arrays that all claim 2^32 - 1 elements.
    assert_eq!(read(&nested(&[0x0A, 0, 0, 0, 1], 70_000)), Err(Cause::Depth));
    assert_eq!(read(&nested(b"\x03\x00\x01a", 70_000)), Err(Cause::Depth));
    assert_eq!(read(&nested(&[0x0A, 0xFF, 0xFF, 0xFF, 0xFF], 17)), Err(Cause::Depth));
    let inside = [nested(&[0x0A, 0, 0, 0, 1], 16), vec![5]].concat();
    assert!(read(&inside).is_ok());

    let mut flat = vec![0x0A, 0xFF, 0xFF, 0xFF, 0xFF];
    flat.extend([5; 2000]);
    assert_eq!(read(&flat), Err(Cause::Values));

    // A string of 4 GiB, and one that is longer than what is left.
    assert_eq!(read(&[0x0C, 0xFF, 0xFF, 0xFF, 0xFF, b'a']), Err(Cause::StringLength(0xFFFF_FFFF)));
    assert_eq!(read(&[0x02, 0x00, 0x05, b'a']), Err(Cause::Truncated));
}

#[test]
fn bytes_that_are_not_utf8_cannot_pass_for_a_path() {
    // An overlong encoding of '.'.
    assert_eq!(read(&[0x02, 0, 2, 0xC0, 0xAE]), Ok(Some("\u{FFFD}\u{FFFD}".into())));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<f64>().prop_filter("a NaN equals nothing", |number| !number.is_nan()).prop_map(Value::Number),
        any::<bool>().prop_map(Value::Boolean),
        ".{0,20}".prop_map(Value::String),
        (-1e15..1e15).prop_map(Value::Date),
        Just(Value::Null),
        Just(Value::Undefined),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let properties = prop::collection::vec((".{1,8}", inner.clone()), 0..6);
        prop_oneof![
            properties.clone().prop_map(Value::Object),
            properties.prop_map(Value::EcmaArray),
            prop::collection::vec(inner, 0..6).prop_map(Value::StrictArray),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(values in prop::collection::vec(any_value(), 0..4)) {
        let bytes: Vec<u8> = values.iter().flat_map(written).collect();
        let mut reader = Reader::new(&bytes, Limits::default());
        for value in &values {
            prop_assert_eq!(reader.value(), Ok(Some(value.clone())));
        }
        prop_assert_eq!(reader.value(), Ok(None));
        prop_assert_eq!(reader.position(), bytes.len());
    }

    #[test]
    fn any_bytes_end_in_values_or_an_error(bytes in prop::collection::vec(prop_oneof![0u8..0x12, any::<u8>()], 0..300)) {
        let mut reader = Reader::new(&bytes, Limits::default());
        let mut values = 0;
        while let Ok(Some(_)) = reader.value() {
            values += 1;
        }
        prop_assert!(values <= bytes.len());
        prop_assert!(reader.position() <= bytes.len());
    }
}
