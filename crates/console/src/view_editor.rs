//! Pure. The page a campaign is written on, with what was found in it and what it would do.

use askama::Template;
use campanile_proto::campaign_file::{self, FileCampaign};
use campanile_proto::v1 as wire;

use crate::frame::Frame;
use crate::hidden;
use crate::view_trial::{Trial, Tried};

/// Lines of a text that are shown at once, at least and at most.
const ROWS: (usize, usize) = (14, 32);

/// How many lines of a text are shown: all, with room to write.
pub(crate) fn rows(file: &str) -> usize {
    file.lines().count().saturating_add(2).clamp(ROWS.0, ROWS.1)
}

/// What is chosen before there is a file.
#[derive(Template)]
#[template(path = "choose.html")]
pub(crate) struct ChoosePage {
    pub(crate) frame: Frame,
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) kinds: Vec<KindChoice>,
    /// What is wrong with what was chosen; empty the first time.
    pub(crate) wrong: String,
}

pub(crate) struct KindChoice {
    pub(crate) word: &'static str,
    pub(crate) label: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) is_chosen: bool,
}

/// The deliveries, in the order they are offered; the words are those of `campanile campaign new`.
pub(crate) fn kinds(chosen: &str) -> Vec<KindChoice> {
    let kind = |word, label, meaning| KindChoice { word, label, meaning, is_chosen: word == chosen };
    vec![
        kind("triggered", "When somebody does something", "An event sets it off, at once or after a delay."),
        kind("one-time", "Once", "To everybody in the audience, now or at a time you say."),
        kind("recurring", "On a schedule", "To everybody in the audience, by a calendar rule or cron."),
        kind("manual", "By hand", "When you or a program of yours names the users."),
    ]
}

#[derive(Template)]
#[template(path = "editor.html")]
pub(crate) struct EditorPage {
    pub(crate) frame: Frame,
    /// Where the form goes, and what the page is called.
    pub(crate) action: String,
    pub(crate) heading: String,
    /// The campaign that is changed; none: a new one is written.
    pub(crate) stored: Option<StoredAs>,
    pub(crate) file: String,
    /// Lines of the text that are shown.
    pub(crate) rows: usize,
    pub(crate) findings: Vec<FindingLine>,
    pub(crate) is_fine: bool,
    pub(crate) trial: Trial,
    pub(crate) tried: Option<Tried>,
    /// Credentials are masked in the text.
    pub(crate) is_hiding: bool,
}

pub(crate) struct StoredAs {
    pub(crate) id: String,
    pub(crate) revision: u32,
    pub(crate) is_draft: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FindingLine {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) field: String,
    pub(crate) text: String,
    pub(crate) is_warning: bool,
}

/// A file, or everything that is wrong with it. A page writes one campaign at a time.
pub(crate) fn read(file: &str, stored: Option<&wire::Campaign>) -> Result<FileCampaign, Vec<FindingLine>> {
    let mut campaigns = campaign_file::read(file.as_bytes()).map_err(|faults| {
        let line = |fault: &campanile_proto::file_fault::FileFault| {
            finding(fault.line, fault.column, &fault.path, &fault.text)
        };
        faults.iter().map(line).collect::<Vec<_>>()
    })?;
    if let Some(second) = campaigns.get(1) {
        let text = "begins a second campaign: write one at a time here, or use campanile campaign apply";
        return Err(vec![finding(second.place.line, second.place.column, "", text)]);
    }
    let mut written = campaigns.remove(0);
    if let Some(stored) = stored {
        hidden::restore(&mut written.campaign, stored);
        if written.campaign.id != stored.id {
            let place = written.place_of("id");
            let text = format!("is immutable: leave {:?}", stored.id);
            return Err(vec![finding(place.line, place.column, "id", &text)]);
        }
    }
    Ok(written)
}

fn finding(line: u32, column: u32, field: &str, text: &str) -> FindingLine {
    FindingLine { line, column, field: field.to_owned(), text: text.to_owned(), is_warning: false }
}

/// What the control API found, each at its place in the file; faults first.
pub(crate) fn findings(written: &FileCampaign, found: &wire::ValidateCampaignResponse) -> Vec<FindingLine> {
    let placed = |is_warning: bool| {
        move |found: &wire::Finding| {
            let line = fault(written, &found.field, &found.description);
            FindingLine { is_warning, ..line }
        }
    };
    let violations = found.violations.iter().map(placed(false));
    violations.chain(found.warnings.iter().map(placed(true))).collect()
}

/// One wrong field of the campaign, at its place in the file.
pub(crate) fn fault(written: &FileCampaign, field: &str, text: &str) -> FindingLine {
    let field = field.strip_prefix("campaign.").unwrap_or(field);
    let place = written.place_of(field);
    finding(place.line, place.column, field, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "id: a\ndelivery:\n  triggered: {when: bought}\nwebhook:\n  url: https://a.example\n";

    #[test]
    fn every_fault_has_its_place() {
        let check = |text: &str, expected: &[(u32, u32, &str)]| {
            let found = read(text, None).map(drop).unwrap_err();
            let places: Vec<(u32, u32, &str)> =
                found.iter().map(|f| (f.line, f.column, f.field.as_str())).collect();
            assert_eq!(places, expected, "{found:?}");
        };
        check("id: a\ntitel: x\n", &[(2, 1, "titel")]);
        check("id: a\n---\nid: b\n", &[(3, 1, "")]);
        let written = read(FILE, None).unwrap();
        let line = fault(&written, "campaign.webhook.url", "x");
        assert_eq!((line.line, line.field.as_str()), (5, "webhook.url"));
    }

    #[test]
    fn the_id_of_a_stored_campaign_stays() {
        let stored = wire::Campaign { id: "b".to_owned(), ..Default::default() };
        let found = read(FILE, Some(&stored)).map(drop).unwrap_err();
        assert_eq!((found[0].line, found[0].text.as_str()), (1, "is immutable: leave \"b\""));
    }
}
