//! Pure. The settings file: one YAML or JSON document -> the deployment's settings, or everything that is wrong with it. The same conveniences
//! as in a campaign file; `short_form` is the way back.

use crate::file_conveniences;
use crate::file_fault::{FileFault, FilePlace};
use crate::filed::{is_json, text};
use crate::json;
use crate::json_text::Origin;
use crate::v1::Settings;
use crate::yaml_tree::{self, FAULTS_MAX, Shape};

/// Reads a settings file. A file without a document is no way to clear them: that is written `{}`.
///
/// # Errors
/// Every fault that could be found, in the order of the text; at most 100.
pub fn read(bytes: &[u8]) -> Result<Settings, Vec<FileFault>> {
    let source = text(bytes).map_err(|fault| vec![fault])?;
    let mut faults = Vec::new();
    let documents = yaml_tree::read(source, &mut faults);
    let begin = FilePlace { line: 1, column: 1 };
    let settings = match documents.as_slice() {
        [document] if matches!(document.shape, Shape::Map(_)) => {
            let descriptor = json::descriptor::<Settings>();
            let descriptor = descriptor.map_err(|fault| vec![FileFault::new("", begin, fault.text)])?;
            let origin = Origin { source, is_json: is_json(source, document) };
            let (value, places) = file_conveniences::canonical(origin, document, &descriptor, &mut faults);
            json::read_value(value).map_err(|fault| {
                let place = places.get(&fault.path).copied().unwrap_or(document.place);
                FileFault::new(&fault.path, place, fault.text)
            })
        }
        [document] => Err(FileFault::new("", document.place, "expected a mapping such as quiet_hours: ...")),
        [] => Err(FileFault::new("", begin, "no settings in this file: write {} to clear all")),
        [_, second, ..] => Err(FileFault::new("", second.place, "expected one document")),
    };
    match settings {
        Ok(settings) if faults.is_empty() => return Ok(settings),
        // Of a document with faults only a part was read: its own fault says nothing more.
        Err(fault) if faults.is_empty() => faults.push(fault),
        _ => {}
    }
    faults.sort_by_key(|fault| (fault.line, fault.column));
    faults.truncate(FAULTS_MAX);
    Err(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::short_form::short_form;

    #[test]
    fn settings_are_read_by_the_conveniences_and_shown_as_they_were_written() {
        let text = "caps:\n  - {at_most: 3, within: 1d}\n  - at_most: 1\n    per: week\n    tags: [promo, news]\nmin_gap: 2h\n\
            quiet_hours:\n  from: \"21:00\"\n  to: \"08:00\"\n";
        let settings = read(text.as_bytes()).unwrap();
        assert_eq!((settings.caps.len(), settings.caps[1].tags.len()), (2, 2));
        assert_eq!(settings.min_gap.as_ref().unwrap().gap.unwrap().seconds, 7_200);
        let shown = short_form(&settings).unwrap();
        assert!(shown.contains("min_gap: 2h") && shown.contains("per: week"), "{shown}");
        assert_eq!(read(shown.as_bytes()).unwrap(), settings);
        let stored = Settings { revision: 7, ..settings };
        assert_eq!(short_form(&stored).unwrap(), shown, "what the server adds is not shown");
        assert_eq!(read(b"{}").unwrap(), Settings::default());
    }

    #[test]
    fn faults_have_their_places() {
        let check = |text: &str, expected: &str| {
            let faults: Vec<String> =
                read(text.as_bytes()).unwrap_err().iter().map(ToString::to_string).collect();
            assert!(faults.iter().any(|fault| fault.contains(expected)), "{text}: {faults:?}");
        };
        check("", "no settings in this file");
        check("- 1", "expected a mapping");
        check("{}\n---\n{}", "expected one document");
        check("quiet_hour: {from: \"21:00\"}", "quiet_hours");
        check("caps: {at_most: three}", "line 1, column 17");
        check("min_gap: soon", "line 1, column 10");
    }
}
