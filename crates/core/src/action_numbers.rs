//! Pure. The numbers of a campaign's actions. A send is told apart by its action's number, for good: so an action keeps its number when
//! others are put before it or taken away, and no other ever gets it.

use crate::campaign_record::{CampaignRecord, State};
use crate::draft::Draft;
use crate::fault::Faults;

/// What the one action of a campaign with a `webhook` is called.
pub const ONLY: &str = "webhook";

/// Numbers the actions of the definition that takes the place of the record's, and notes new names. A draft has sent nothing: its places are numbers.
pub fn number(record: &mut CampaignRecord, draft: &mut Draft) -> Result<(), Faults> {
    if record.state == State::Draft {
        return Ok(());
    }
    let mut faults = Faults::default();
    let mut names = known(record);
    let mut last = None;
    let order: Vec<String> = names_of(&record.draft);
    let mut numbers = Vec::new();
    for (i, name) in names_of(draft).into_iter().enumerate() {
        if let Some(place) = order.iter().position(|known| *known == name) {
            if last.is_some_and(|last| place < last) {
                let text =
                    format!("{name} has changed its place: what is live keeps the order of its actions");
                faults.add(format!("actions[{i}]"), text);
            }
            last = Some(place);
        }
        let number = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name.clone());
            names.len() - 1
        });
        match u8::try_from(number) {
            Ok(number) => numbers.push(number),
            Err(_) => faults.add(format!("actions[{i}]"), "the campaign has had 256 actions: duplicate it"),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let are_places = numbers.iter().enumerate().all(|(place, number)| place == usize::from(*number));
    for (action, number) in draft.actions.iter_mut().zip(&numbers) {
        action.number = Some(*number).filter(|_| !are_places);
    }
    if names != names_of(draft) || !record.action_names.is_empty() {
        record.action_names = names;
    }
    Ok(())
}

/// The name of the action with this number, also of one that was taken away; none: there was none.
pub fn name(record: &CampaignRecord, number: u8) -> Option<String> {
    known(record).into_iter().nth(usize::from(number))
}

fn known(record: &CampaignRecord) -> Vec<String> {
    if record.action_names.is_empty() { names_of(&record.draft) } else { record.action_names.clone() }
}

fn names_of(draft: &Draft) -> Vec<String> {
    match draft.actions.as_slice() {
        [] => vec![ONLY.to_owned()],
        actions => actions.iter().map(|action| action.name.clone()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::draft::Action;

    fn draft(names: &[&str]) -> Draft {
        let action = |name: &&str| Action { name: (*name).to_owned(), ..Action::default() };
        Draft { actions: names.iter().map(action).collect(), ..Draft::default() }
    }

    /// Edits a live campaign along `steps`; the numbers of the last one's actions.
    fn edited(steps: &[&[&str]]) -> Result<Vec<u8>, String> {
        let mut record = CampaignRecord::new(draft(steps[0]), Timestamp::UNIX_EPOCH);
        record.state = State::Active;
        for names in &steps[1..] {
            let mut next = draft(names);
            number(&mut record, &mut next).map_err(|faults| faults.to_string())?;
            record.draft = next;
        }
        let of = |(place, action): (usize, &Action)| action.number.unwrap_or(place as u8);
        Ok(record.draft.actions.iter().enumerate().map(of).collect())
    }

    #[test]
    fn an_action_keeps_its_number_and_nobody_inherits_one() {
        assert_eq!(edited(&[&["a", "b"], &["a", "b", "c"]]), Ok(vec![0, 1, 2]));
        assert_eq!(edited(&[&["a", "b"], &["a", "x", "b"]]), Ok(vec![0, 2, 1]));
        assert_eq!(edited(&[&["a", "b", "c"], &["a", "c"]]), Ok(vec![0, 2]));
        assert_eq!(edited(&[&["a", "b", "c"], &["a", "c"], &["a", "c", "d"]]), Ok(vec![0, 2, 3]));
        assert_eq!(edited(&[&["a", "b"], &["a"], &["a", "d"], &["a", "b", "d"]]), Ok(vec![0, 1, 2]));
        assert_eq!(edited(&[&[], &["webhook", "b"]]), Ok(vec![0, 1]));
        assert_eq!(edited(&[&[], &["a", "b"]]), Ok(vec![1, 2]));
    }

    #[test]
    fn what_is_live_keeps_its_order() {
        assert!(edited(&[&["a", "b"], &["b", "a"]]).unwrap_err().contains("actions[1]"));
    }

    #[test]
    fn names_are_known_by_number_also_of_what_was_taken_away() {
        let mut record = CampaignRecord::new(draft(&["a", "b"]), Timestamp::UNIX_EPOCH);
        record.state = State::Active;
        let mut next = draft(&["b", "c"]);
        number(&mut record, &mut next).unwrap();
        record.draft = next;
        let names: Vec<_> = (0..4).map(|n| name(&record, n)).collect();
        assert_eq!(names, [Some("a".into()), Some("b".into()), Some("c".into()), None]);
    }
}
