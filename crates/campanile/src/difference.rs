//! Pure. What applying a file would change: two campaigns in their short form, compared line by line.

use campanile_control::read_campaign::read_campaign;
use campanile_control::write_campaign::write_draft;
use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;
use similar::{ChangeTag, TextDiff};

use crate::fail::Fail;

/// Unchanged lines shown around a change.
const CONTEXT_LINES: usize = 2;

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    Kept(String),
    Gone(String),
    New(String),
    /// Unchanged lines were left out here.
    Gap,
}

/// What changes from `there` to `written`; empty when they say the same, however they say it.
pub fn difference(there: &wire::Campaign, written: &wire::Campaign) -> Result<Vec<Line>, Fail> {
    Ok(lines(&normal(there)?, &normal(written)?))
}

/// What changes from one text to another.
pub fn lines(before: &str, after: &str) -> Vec<Line> {
    let compared = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for group in compared.grouped_ops(CONTEXT_LINES) {
        if !lines.is_empty() {
            lines.push(Line::Gap);
        }
        for change in group.iter().flat_map(|op| compared.iter_changes(op)) {
            let text = change.value().trim_end_matches('\n').to_owned();
            lines.push(match change.tag() {
                ChangeTag::Equal => Line::Kept(text),
                ChangeTag::Delete => Line::Gone(text),
                ChangeTag::Insert => Line::New(text),
            });
        }
    }
    lines
}

/// The short form as the server would show it once stored: a default that was written out is the default left out.
fn normal(campaign: &wire::Campaign) -> Result<String, Fail> {
    let stored = read_campaign(campaign).map(|draft| write_draft(&draft));
    // A shape that cannot be read is refused by the check that comes before any difference is shown.
    let stored = stored.unwrap_or_else(|_| campaign.clone());
    short_form(&stored).map_err(|e| Fail::refused(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use campanile_proto::campaign_file;

    fn read(text: &str) -> wire::Campaign {
        campaign_file::read(text.as_bytes()).unwrap().remove(0).campaign
    }

    const FILE: &str =
        "id: a\naudience: everyone\ndelivery: {triggered: bought}\nwebhook: {url: https://example.com/}\n";

    #[test]
    fn a_default_written_out_is_no_difference() {
        let same = "id: a\naudience: {where: everyone, sticky: false}\ndelivery: {triggered: {when: {event: bought}}}\n\
            webhook: {url: https://example.com/, method: post, content_type: json}\n";
        assert_eq!(difference(&read(FILE), &read(same)).unwrap(), []);
    }

    #[test]
    fn changed_lines_are_shown_among_their_neighbours() {
        let other = FILE.replace("everyone", "user.plan == \"pro\"");
        let lines = difference(&read(FILE), &read(&other)).unwrap();
        let changed: Vec<&Line> = lines.iter().filter(|line| !matches!(line, Line::Kept(_))).collect();
        assert_eq!(changed.len(), 2, "{lines:?}");
        assert!(matches!(changed[0], Line::Gone(text) if text.contains("everyone")), "{lines:?}");
        assert!(matches!(changed[1], Line::New(text) if text.contains("pro")), "{lines:?}");
        assert!(lines.contains(&Line::Kept("id: a".to_owned())), "{lines:?}");
    }

    #[test]
    fn what_the_server_adds_is_no_difference() {
        let there = wire::Campaign { revision: 3, state: 3, ..read(FILE) };
        assert_eq!(difference(&there, &read(FILE)).unwrap(), []);
    }
}
