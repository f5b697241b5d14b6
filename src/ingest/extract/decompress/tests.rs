#![allow(clippy::unwrap_used)]
use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::catalog::Blame;

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::bzip2::write::BzEncoder::new(Vec::new(), ::bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ::zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Encode = fn(&[u8]) -> Vec<u8>;

const ALL: [Encode; 4] = [gzip, bzip2, xz, zstd];

fn read(bytes: &[u8], caps: &Caps) -> Result<Vec<u8>, Failure> {
    let origin = Rc::new(Cell::new(0));
    let counted = Counted { inner: Box::new(bytes), consumed: Rc::clone(&origin) };
    let mut plain = plain(Box::new(counted), "dump.gz", &origin, caps)?;
    let mut out = Vec::new();
    plain.reader.read_to_end(&mut out).map_err(|error| read_failure(error, "dump.gz"))?;
    Ok(out)
}

/// Something that does not compress to a few bytes.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 59) as u8 + b'a'
    };
    (0..bytes).map(step).collect()
}

#[test]
fn every_member_stream_and_frame_is_read() {
    for encode in ALL {
        let mut file = encode(b"one ");
        file.extend(encode(b""));
        file.extend(encode(b"two "));
        file.extend(encode(b"three"));
        assert_eq!(read(&file, &Caps::default()).unwrap(), b"one two three");
    }
}

#[test]
fn padding_and_skippable_frames() {
    for encode in [gzip, bzip2] {
        let mut file = encode(b"one ");
        file.extend([0; 700]);
        file.extend(encode(b"two"));
        file.extend([0; 300_000]);
        assert_eq!(read(&file, &Caps::default()).unwrap(), b"one two");
    }
    let mut file = xz(b"one ");
    file.extend([0; 8]);
    file.extend(xz(b"two"));
    assert_eq!(read(&file, &Caps::default()).unwrap(), b"one two");
    let skippable = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9];
    let mut file = skippable.to_vec();
    file.extend(zstd(b"one "));
    file.extend(skippable);
    file.extend(zstd(b"two"));
    assert_eq!(read(&file, &Caps::default()).unwrap(), b"one two");
}

#[test]
fn nested_and_plain() {
    let nested = gzip(&zstd(&bzip2(&xz(b"x"))));
    assert_eq!(read(&nested, &Caps::default()).unwrap(), b"x");
    assert!(read(&gzip(&nested), &Caps::default()).map(|out| out.len()).unwrap_err().message.contains("times over"));
    for plain in [b"".as_slice(), b"BZh9 is how bzip2 files begin", b"a,b\n1,2\n"] {
        assert_eq!(read(plain, &Caps::default()).unwrap(), plain);
    }
}

#[test]
fn a_cut_off_file_is_upstreams_fault_and_names_the_byte() {
    let text = noise(100_000);
    for encode in ALL {
        let file = encode(&text);
        for keep in [file.len() - 1, file.len() / 2, 14] {
            let failure = read(&file[..keep], &Caps::default()).map(|out| out.len()).unwrap_err();
            assert_eq!(failure.blame, Blame::Upstream, "{failure}");
            assert!(failure.message.starts_with("dump.gz: "), "{failure}");
            assert!(failure.message.contains(&format!("cut off at byte {keep}")), "{failure}");
        }
    }
}

#[test]
fn damage_and_what_follows_the_end() {
    for encode in ALL {
        let mut file = encode(&noise(100_000));
        let middle = file.len() / 2;
        file[middle] ^= 0x55;
        assert_eq!(read(&file, &Caps::default()).map(|out| out.len()).unwrap_err().blame, Blame::Upstream);
        let mut file = encode(b"one");
        file.extend(b"<html>not data</html>");
        let failure = read(&file, &Caps::default()).map(|out| out.len()).unwrap_err();
        assert!(failure.message.contains("is damaged at byte"), "{failure}");
    }
}

#[test]
fn caps_on_bytes_and_ratio() {
    let caps = Caps { decompressed_bytes: 1000, ..Caps::default() };
    assert_eq!(read(&gzip(&noise(1000)), &caps).unwrap().len(), 1000);
    let failure = read(&gzip(&noise(1001)), &caps).map(|out| out.len()).unwrap_err();
    assert_eq!(
        failure.message,
        "dump.gz: decompresses to more than 1000 bytes, the most that is taken (cap `decompressed_bytes`)"
    );
    let bomb = zstd(&vec![0; 70 << 20]);
    let failure = read(&bomb, &Caps::default()).map(|out| out.len()).unwrap_err();
    assert!(failure.message.contains("cap `decompress_ratio`"), "{failure}");
    assert_eq!(read(&bomb, &Caps { decompress_ratio: 1 << 20, ..Caps::default() }).unwrap().len(), 70 << 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..4), which in 0_usize..4) {
        let file: Vec<u8> = pieces.iter().flat_map(|piece| ALL[which](piece)).collect();
        // What is inside may look compressed itself; that is rare enough to leave to the generator.
        prop_assert_eq!(read(&file, &Caps::default()).unwrap(), pieces.concat());
    }

    #[test]
    fn mutated_files_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..3000),
        which in 0_usize..4,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut file = ALL[which](&bytes);
        for (at, byte) in changes {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(keep.index(file.len()) + 1);
        let caps = Caps { decompressed_bytes: 1 << 20, ..Caps::default() };
        if let Err(failure) = read(&file, &caps) {
            prop_assert_eq!(failure.blame, Blame::Upstream, "{}", failure);
        }
    }
}
