//! The same as a table (RFC 4180) for spreadsheets.

use super::{Audience, Counts, Egress, Slot};

/// Tells Excel that it is UTF-8; it takes everything else for the code page of its country.
const BOM: char = '\u{FEFF}';

const COLUMNS: [&str; 19] = [
    "row",
    "phase",
    "at",
    "length_s",
    "viewers",
    "views",
    "leaves",
    "average",
    "peak",
    "peak_at",
    "watch_s",
    "average_watch_s",
    "egress_bytes",
    "egress_flv",
    "egress_ws_flv",
    "egress_rtmp",
    "egress_hls",
    "egress_mp4",
    "title",
];

/// First the totals, then the buckets.
pub fn table(audience: &Audience) -> String {
    let phases = &audience.phases;
    let title = text(&audience.title);
    let totals = [
        ("total", "", &audience.total),
        ("phase", "before", &phases.before),
        ("phase", "during", &phases.during),
        ("phase", "after", &phases.after),
    ];
    let mut table = String::from(BOM);
    line(&mut table, COLUMNS.map(String::from));
    for (row, phase, counts) in totals {
        let (at, viewers) = match row {
            "total" => (audience.started_at.clone().unwrap_or_default(), audience.viewers.to_string()),
            _ => Default::default(),
        };
        line(&mut table, sums([row.into(), phase.into(), at, viewers], counts, &title));
    }
    audience.buckets.iter().for_each(|slot| line(&mut table, bucket(slot, &title)));
    table
}

fn sums([row, phase, at, viewers]: [String; 4], counts: &Counts, title: &str) -> [String; 19] {
    let (none, peak) = (String::new, counts.peak.as_ref());
    let (most, peak_at) = peak.map(|peak| (peak.viewers, peak.at.clone())).unwrap_or_default();
    let [total, flv, ws_flv, rtmp, hls, mp4] = egress(&counts.egress_bytes);
    [
        row,
        phase,
        at,
        none(),
        viewers,
        counts.views.to_string(),
        none(),
        none(),
        most.to_string(),
        peak_at,
        counts.watch_s.to_string(),
        counts.average_watch_s.to_string(),
        total,
        flv,
        ws_flv,
        rtmp,
        hls,
        mp4,
        title.into(),
    ]
}

fn bucket(slot: &Slot, title: &str) -> [String; 19] {
    let none = String::new;
    let [total, flv, ws_flv, rtmp, hls, mp4] = egress(&slot.egress_bytes);
    [
        "bucket".into(),
        slot.phase.into(),
        slot.at.clone(),
        slot.length_s.to_string(),
        none(),
        slot.joins.to_string(),
        slot.leaves.to_string(),
        slot.average.to_string(),
        slot.peak.to_string(),
        none(),
        slot.watch_s.to_string(),
        none(),
        total,
        flv,
        ws_flv,
        rtmp,
        hls,
        mp4,
        title.into(),
    ]
}

fn egress(Egress { total, flv, ws_flv, rtmp, hls, mp4 }: &Egress) -> [String; 6] {
    [total, flv, ws_flv, rtmp, hls, mp4].map(u64::to_string)
}

fn line(table: &mut String, fields: [String; 19]) {
    *table += &fields.join(",");
    *table += "\r\n";
}

/// A field with text that somebody chose. What a spreadsheet would take for a formula gets an apostrophe before it
/// (OWASP, "CSV Injection"); the wide forms are what a Chinese keyboard makes of the same signs.
fn text(chosen: &str) -> String {
    const FORMULA: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];
    let is_formula = chosen.starts_with(['\t', '\r', '\n']) || chosen.trim_start().starts_with(FORMULA);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", chosen.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_never_a_formula_and_never_another_field() {
        for (chosen, field) in [
            ("双十一开播", "\"双十一开播\""),
            ("a, \"b\"\r\nc", "\"a, \"\"b\"\"\r\nc\""),
            ("=HYPERLINK(\"http://x\")", "\"'=HYPERLINK(\"\"http://x\"\")\""),
            (" +1", "\"' +1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("\t=1", "\"'\t=1\""),
            ("＝1+1", "\"'＝1+1\""),
            ("1-1=0", "\"1-1=0\""),
            ("", "\"\""),
        ] {
            assert_eq!(text(chosen), field);
        }
    }
}
