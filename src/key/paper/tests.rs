use proptest::prelude::*;

use super::*;

/// As long as a real one, and as long as none.
fn envelope(lines: usize) -> String {
    let line = "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBmZm9vYmFyYmF6cXV1eHoK";
    let mut text = "-----BEGIN AGE ENCRYPTED FILE-----\n".to_owned();
    for at in 0..lines {
        let (head, tail) = line.split_at(at % 64);
        text.push_str(&format!("{tail}{head}\n"));
    }
    text.push_str("c2hvcnQ=\n-----END AGE ENCRYPTED FILE-----\n");
    text
}

fn sheet(lines: usize) -> Sheet {
    Sheet {
        title: "COLD COPY OF A KEY: signer".into(),
        facts: vec![
            ("for", "alice, copy 1 of 2".into()),
            ("sheet", "20261121T160829Z-cold-export/usb-1/signer".into()),
            (
                "public key",
                "03143d31fe6a0516a34c5a5b1e0629ad3e82eb7c76c61bbdcd71031227d58a05b2".into(),
            ),
            ("plan", "ba410289acb8782f0407493e1a252132a27f97e6d36a474bd12f1c927c3ca9a8".into()),
        ],
        steps: vec![
            "1. A machine (without a network)".into(),
            "  apt-get install age".into(),
            "  a \\( b".into(),
        ],
        envelope: envelope(lines),
        below: vec!["print chr(7);".into()],
    }
}

#[test]
fn the_code_of_a_printed_sheet_is_read_back() {
    for paper in [Paper::A4, Paper::Letter] {
        for lines in [5, 9, 14, 20] {
            let pdf = sheet(lines).print(paper).unwrap();
            assert_eq!(decode(&pdf).unwrap(), envelope(lines));
        }
    }
}

#[test]
fn what_is_too_long_for_a_code_gets_no_sheet() {
    // The first is one that a QR code could hold, and nobody scans from a print.
    for lines in [25, 60] {
        let length = envelope(lines).len();
        assert_eq!(sheet(lines).print(Paper::A4), Err(NoSheet::TooLong(length)));
        let told = fits(&envelope(lines)).unwrap_err().to_string();
        assert!(told.contains("holds 1465: leave `paper` out"), "{told}");
    }
    assert!(fits(&envelope(20)).is_ok());
}

#[test]
fn a_file_that_was_damaged_is_not_read() {
    let pdf = sheet(9).print(Paper::A4).unwrap();
    assert_eq!(decode(b""), Err(NoSheet::Unreadable));
    assert_eq!(decode(&pdf[..pdf.len() / 4]), Err(NoSheet::Unreadable));
    // A third of the rectangles is gone.
    let text = String::from_utf8_lossy(&pdf);
    let (mut kept, mut count) = (String::new(), 0);
    for line in text.split_inclusive('\n') {
        count += u32::from(line.ends_with(" re\n"));
        kept.push_str(if line.ends_with(" re\n") && count % 3 == 0 { "" } else { line });
    }
    assert_ne!(decode(kept.as_bytes()).ok(), Some(envelope(9)));
}

#[test]
fn what_is_typed_is_the_envelope_again() {
    let lines = lines::printed(&envelope(9));
    assert_eq!(lines.len(), 10);
    assert!(lines.iter().all(|line| line.len() == lines[0].len()), "{lines:#?}");
    let all = lines.join("\n");
    assert_eq!(typed(&all).unwrap(), envelope(9));
    assert_eq!(typed(&format!("\n\n {} \n", all.replace('\n', "\r\n\n"))).unwrap(), envelope(9));
    assert_eq!(typed(&all.replace("  ", " ")).unwrap(), envelope(9));
    // A scanner's text.
    assert_eq!(typed(&envelope(9)).unwrap(), envelope(9));
    assert_eq!(typed(envelope(9).trim_end()).unwrap(), envelope(9));
}

#[test]
fn what_is_typed_wrong_is_found_where_it_is() {
    let lines = lines::printed(&envelope(9));
    let with = |at: usize, line: &str| {
        let mut lines = lines.clone();
        lines[at] = line.to_owned();
        typed(&lines.join("\n"))
    };
    assert_eq!(with(3, ""), Err(Mistyped::Missing(4)));
    assert_eq!(with(3, &lines[2]), Err(Mistyped::Line(3)));
    assert_eq!(with(3, &lines[3].replacen('Y', "y", 1)), Err(Mistyped::Line(4)));
    assert_eq!(with(0, "nonsense"), Err(Mistyped::NotALine(1)));
    let around = |begin: &str, end: &str| typed(&[begin, &lines.join("\n"), end].join("\n"));
    let (begin, end) = ("-----BEGIN AGE ENCRYPTED FILE-----", "-----END AGE ENCRYPTED FILE-----");
    for (begin, end) in [(begin, end), (begin, ""), ("", end)] {
        assert_eq!(around(begin, end), typed(&lines.join("\n")), "{begin} {end}");
    }
    let (mut swapped, a, b) = (lines.clone(), lines[4].clone(), lines[5].clone());
    (swapped[4], swapped[5]) = (b.replacen('6', "5", 1), a.replacen('5', "6", 1));
    assert_eq!(typed(&swapped.join("\n")), Err(Mistyped::Line(5)), "{swapped:#?}");
    assert_eq!(typed(""), Err(Mistyped::Nothing));
    assert_eq!(typed("-----BEGIN AGE ENCRYPTED FILE-----\nYWdl"), Err(Mistyped::Nothing));
}

proptest! {
    /// One character altered anywhere: found, in its line, but for one in 65,536.
    #[test]
    fn one_flipped_character_is_found(line in 0..10_usize, at in 0..64_usize, to in "[A-Za-z0-9+/]") {
        let mut lines = lines::printed(&envelope(9));
        let places: Vec<usize> = lines[line].char_indices().skip(4).filter(|(_, c)| *c != ' ').map(|(at, _)| at).collect();
        let place = places[at % (places.len() - 4)];
        prop_assume!(lines[line][place..=place] != to);
        lines[line].replace_range(place..=place, &to);
        prop_assert_eq!(typed(&lines.join("\n")), Err(Mistyped::Line(line + 1)));
    }
}
