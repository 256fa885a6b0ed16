//! Pure. What is decided about a claimed send whose campaign's definition cannot be read.

use campanile_core::control_word::{ControlWord, Flow};
use campanile_core::due_send::Class;
use campanile_core::reason::Suppression;

use crate::admit::Decision;

/// What can be said without the campaign's definition, where that cannot be read.
pub fn admit_blind(control: &ControlWord, class: Class, is_user_there: bool) -> Option<Decision> {
    if control.flow == Flow::Stopped && class != Class::Resent {
        return Some(Decision::Suppress(Suppression::CampaignEnded, "the campaign was ended".to_owned()));
    }
    (!is_user_there).then(|| Decision::Suppress(Suppression::UserDeleted, "the user is gone".to_owned()))
}
