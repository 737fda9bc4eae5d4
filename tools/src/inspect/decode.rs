//! The bytes of a slot run taken apart, field by field: what `pent page` and the map's page show.
//!
//! Promises: bytes of any content give fields; what cannot be decoded is said so.

use super::blob::{Blob, Privacy, hex};
use pentimento_btree::inspect::{
    BodyKind, CellPlace, DeltaView, LARGE_VALUE_HEADER, NodeView, RegionKind, Value, body_kind, regions,
};
use pentimento_storage::inspect::{Meta, TABLE_NUMBERS, table_item_number, version_header};
use pentimento_storage::{HEADER_BYTES, PageId, Run};
use serde::Serialize;

/// A field of a structure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Where it begins, from the start of the structure.
    pub offset: usize,
    /// How many bytes it has.
    pub bytes: usize,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub value: String,
}

/// An entry of a node, or an item of a table page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EntryLine {
    /// Its number.
    pub index: usize,
    /// Where its bytes begin, if they can be found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<usize>,
    /// The key, or the separator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Blob>,
    /// The value, if it stands here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Blob>,
    /// The child right of a separator, or the page of a large value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
    /// Everything else that is to be said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A stretch of bytes that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RegionLine {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
    /// What it is.
    pub region: &'static str,
    /// The entry that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<usize>,
}

/// A structure taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decoded {
    /// What it is: `meta`, `table page`, `leaf`, ...
    pub kind: String,
    /// The fields, in their order.
    pub fields: Vec<Field>,
    /// The bytes that all keys of a node begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<Blob>,
    /// The entries or items.
    pub entries: Vec<EntryLine>,
    /// All bytes as stretches that follow each other.
    pub regions: Vec<RegionLine>,
    /// What is wrong, seen by itself.
    pub faults: Vec<String>,
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Fields that follow each other: name, length, and whether it is shown in hexadecimal.
fn fields(bytes: &[u8], from: usize, layout: &[(&'static str, usize, bool)]) -> Vec<Field> {
    let mut offset = from;
    let mut fields = Vec::new();
    for &(name, len, in_hex) in layout {
        let Some(raw) = bytes.get(offset..offset + len) else { break };
        let value = match (in_hex, len) {
            (false, ..=8) => number(raw).to_string(),
            (true, ..=8) => format!("0x{:0width$x}", number(raw), width = len * 2),
            _ => hex(raw),
        };
        fields.push(Field { offset, bytes: len, name, value });
        offset += len;
    }
    fields
}

fn region(start: usize, end: usize, region: &'static str) -> RegionLine {
    RegionLine { start, end, region, entry: None }
}

fn run_text(word: u64) -> String {
    // The code of the length is the engine's; a table page's items are decoded by it, this is for the meta's root only.
    format!("slot {}, code of length {}", word & ((1 << 48) - 1), word >> 48)
}

/// A meta slot; `found` is what the engine makes of it.
#[must_use]
pub fn decode_meta(bytes: &[u8], found: &Result<Meta, String>) -> Decoded {
    let mut decoded = Decoded { kind: "meta".to_owned(), ..Decoded::default() };
    let layout = [
        ("magic", 8, true),
        ("format version", 4, false),
        ("page size", 4, false),
        ("slot size", 4, false),
        ("flags (1: twin)", 4, false),
        ("id of the store", 16, true),
        ("sequence", 8, false),
        ("timestamp", 8, false),
        ("page numbers", 4, false),
        ("table levels", 4, false),
        ("root of the table (run)", 8, true),
        ("CRC-32 of the root", 4, true),
    ];
    decoded.fields = fields(bytes, 0, &layout);
    for field in &mut decoded.fields {
        let raw = &bytes[field.offset..field.offset + field.bytes];
        match field.name {
            "magic" => field.value = format!("{:?}", String::from_utf8_lossy(raw)),
            "root of the table (run)" => field.value = run_text(number(raw)),
            _ => {}
        }
    }
    decoded.fields.extend(fields(bytes, 508, &[("CRC-32 of bytes 0..508", 4, true)]));
    decoded.regions = vec![
        region(0, 76, "header"),
        region(76, 80, "zero"),
        region(80, 208, "reserved"),
        region(208, 508, "zero"),
        region(508, 512, "checksum"),
        region(512, bytes.len().max(512), "zero"),
    ];
    decoded.faults.extend(found.as_ref().err().cloned());
    decoded
}

/// A table page of a level, whose items begin with page number `first` (or table page number, above level 0).
#[must_use]
pub fn decode_table(bytes: &[u8], level: u32, index: u32) -> Decoded {
    let mut decoded = Decoded { kind: "table page".to_owned(), ..Decoded::default() };
    let layout = [
        ("magic", 4, true),
        ("level", 4, false),
        ("index", 4, false),
        ("zero", 4, false),
        ("timestamp", 8, false),
        ("zero", 8, false),
    ];
    decoded.fields = fields(bytes, 0, &layout);
    if let Some(magic) = decoded.fields.first_mut() {
        magic.value = format!("{:?}", String::from_utf8_lossy(&bytes[..4]));
    }
    decoded.regions.push(region(0, 32, "header"));
    for (number_of, item) in bytes.get(32..).unwrap_or_default().chunks_exact(24).take(TABLE_NUMBERS).enumerate() {
        let (word, at) = (number(&item[..8]), number(&item[8..16]));
        let (crc, kind) = (number(&item[16..20]), number(&item[20..24]));
        let run = Run { start: word & ((1 << 48) - 1), slots: run_slots(word) };
        let place = format!("slots {}+{}, crc {crc:08x}", run.start, run.slots);
        let note = match kind {
            0 if level == 0 => "never used".to_owned(),
            0 => continue,
            1 => format!("dead since {at}"),
            2 => format!("version of {at}: {place}"),
            3 => format!("register of {at}: {word}"),
            4 => format!("table page, newest {at}: {place}"),
            other => format!("unknown kind {other}"),
        };
        let start = 32 + number_of * 24;
        let page = (level == 0).then(|| table_item_number(index, number_of).0);
        decoded.entries.push(EntryLine {
            index: number_of,
            offset: Some(start),
            key: None,
            value: None,
            page,
            note: Some(note),
        });
        decoded.regions.push(RegionLine { start, end: start + 24, region: "item", entry: Some(number_of) });
    }
    decoded
}

/// How many slots the code in a run's word means; see `storage/src/layout.rs`.
fn run_slots(word: u64) -> u64 {
    let code = word >> 48;
    if code & 0x8000 != 0 { (code & 0x7FFF) * 32 } else { code }
}

/// The version of a page, from its header on.
#[must_use]
pub fn decode_version(bytes: &[u8], privacy: Privacy) -> Decoded {
    let mut decoded = Decoded::default();
    let Some(header) = version_header(bytes) else {
        decoded.kind = "nothing".to_owned();
        decoded.faults.push("there are too few bytes for the header of a version".to_owned());
        return decoded;
    };
    let layout = [
        ("page", 4, false),
        ("owner (root of its tree)", 4, false),
        ("birth", 8, false),
        ("length", 4, false),
        ("zero", 4, false),
    ];
    decoded.fields = fields(bytes, 0, &layout);
    decoded.regions.push(region(0, HEADER_BYTES.min(bytes.len()), "version header"));
    let length = (header.length as usize).clamp(HEADER_BYTES.min(bytes.len()), bytes.len());
    let body = &bytes[HEADER_BYTES.min(bytes.len())..length];
    for part in regions(body) {
        decoded.regions.push(RegionLine {
            start: part.start + HEADER_BYTES,
            end: part.end + HEADER_BYTES,
            region: region_name(part.kind),
            entry: part.entry,
        });
    }
    if length < bytes.len() {
        decoded.regions.push(region(length, bytes.len(), "behind the version"));
    }
    match body_kind(body) {
        BodyKind::Unknown => {
            decoded.kind = "unknown".to_owned();
            decoded.faults.push("this is neither a node nor a large value".to_owned());
        }
        BodyKind::LargeValue => {
            decoded.kind = "large value".to_owned();
            decoded.fields.extend(fields(
                bytes,
                HEADER_BYTES,
                &[("kind (255: large value)", 1, false), ("zero", 7, false)],
            ));
            let value = body.get(LARGE_VALUE_HEADER..).unwrap_or_default();
            let value = Some(privacy.show(value));
            let offset = Some(HEADER_BYTES + LARGE_VALUE_HEADER);
            decoded.entries.push(EntryLine { index: 0, offset, key: None, value, page: None, note: None });
        }
        BodyKind::Leaf | BodyKind::Branch => decode_node(bytes, body, header.page, privacy, &mut decoded),
        BodyKind::Delta => decode_delta(bytes, body, privacy, &mut decoded),
    }
    decoded
}

fn decode_node(bytes: &[u8], body: &[u8], page: PageId, privacy: Privacy, decoded: &mut Decoded) {
    let layout = [
        ("level", 1, false),
        ("flags", 1, false),
        ("prefix length", 2, false),
        ("count", 2, false),
        ("room in the arrays", 2, false),
        ("garbage", 2, false),
        ("spare", 2, false),
        ("leftmost child", 4, false),
    ];
    decoded.fields.extend(fields(bytes, HEADER_BYTES, &layout));
    decoded.kind = if body.first() == Some(&0) { "leaf" } else { "branch" }.to_owned();
    let node = match NodeView::parse(page, body) {
        Ok(node) => node,
        Err(what) => {
            decoded.faults.push(what.to_owned());
            return;
        }
    };
    node.check(&mut |finding| decoded.faults.push(finding.problem.to_string()));
    decoded.prefix = (!node.prefix().is_empty()).then(|| privacy.show(node.prefix()));
    if node.level() > 0 {
        let page = node.children().first().map(|child| child.0);
        let note = Some("left of the first separator".to_owned());
        decoded.entries.push(EntryLine { index: 0, offset: None, key: None, value: None, page, note });
    }
    for index in 0..node.count() {
        let cell = decoded.regions.iter().find(|part| part.entry == Some(index)).map(|part| part.start);
        let mut line = EntryLine { index, offset: cell, key: None, value: None, page: None, note: None };
        match node.key(index) {
            Ok(key) => line.key = Some(privacy.show(&key)),
            Err(what) => line.note = Some(what.to_owned()),
        }
        if node.level() > 0 {
            line.index = index + 1;
            line.page = node.children().get(index + 1).map(|child| child.0);
        } else {
            match node.value(index) {
                Ok((_, value)) => show_value(&mut line, value, privacy),
                Err(what) => line.note = Some(what.to_owned()),
            }
        }
        decoded.entries.push(line);
    }
}

/// The delta of a leaf that is not at hand: the entries whose cells lie in the leaf are told by their places.
fn decode_delta(bytes: &[u8], body: &[u8], privacy: Privacy, decoded: &mut Decoded) {
    let layout = [
        ("kind (254: delta)", 1, false),
        ("flags", 1, false),
        ("prefix length", 2, false),
        ("count", 2, false),
        ("room in the arrays", 2, false),
        ("garbage, the leaf's included", 2, false),
        ("spare", 2, false),
        ("cells of the leaf begin at", 2, false),
        ("cells of the leaf, bytes", 2, false),
    ];
    decoded.fields.extend(fields(bytes, HEADER_BYTES, &layout));
    decoded.kind = "delta".to_owned();
    let delta = match DeltaView::parse(body) {
        Ok(delta) => delta,
        Err(what) => {
            decoded.faults.push(what.to_owned());
            return;
        }
    };
    decoded.prefix = (!delta.prefix().is_empty()).then(|| privacy.show(delta.prefix()));
    for index in 0..delta.count() {
        let mut line = EntryLine { index, offset: None, key: None, value: None, page: None, note: None };
        match (delta.place(index), delta.own_entry(index)) {
            (Some(CellPlace::Leaf(at)), _) => {
                line.note = Some(format!("in the leaf, at {}", at + HEADER_BYTES));
            }
            (Some(CellPlace::Delta(at)), entry) => {
                line.offset = Some(at + HEADER_BYTES).filter(|at| *at < bytes.len());
                match entry {
                    Ok(Some((key, value))) => {
                        line.key = Some(privacy.show(&key));
                        show_value(&mut line, value, privacy);
                    }
                    Ok(None) => {}
                    Err(what) => {
                        decoded.faults.push(format!("entry {index}: {what}"));
                        line.note = Some(what.to_owned());
                    }
                }
            }
            (None, _) => {}
        }
        decoded.entries.push(line);
    }
}

fn show_value(line: &mut EntryLine, value: Value<'_>, privacy: Privacy) {
    match value {
        Value::Inline(value) => line.value = Some(privacy.show(value)),
        Value::Large { page, len } => {
            line.page = Some(page.0);
            line.note = Some(format!("large value of {len} bytes"));
        }
    }
}

fn region_name(kind: RegionKind) -> &'static str {
    match kind {
        RegionKind::Header => "header",
        RegionKind::Prefix => "prefix",
        RegionKind::Padding => "padding",
        RegionKind::Heads => "heads",
        RegionKind::Children => "children",
        RegionKind::Offsets => "slots",
        RegionKind::Spare => "spare",
        RegionKind::Cell => "cell",
        RegionKind::Gap => "gap",
        RegionKind::Value => "value",
        RegionKind::Unknown => "unknown",
    }
}
