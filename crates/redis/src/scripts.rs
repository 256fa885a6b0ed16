//! Every script of the store, put together from its file and the parts it shares with others. A script is called by its hash and
//! sent whole only where the server does not know it.

use redis::Script;

/// A script as the server is given it.
pub(crate) struct Code {
    /// Its file's name: what errors call it.
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) text: String,
}

const BASE: &str = include_str!("lua/base.lua");
const EVENTS: &str = include_str!("lua/append_events.lua");
const LEASES: &str = include_str!("lua/leases.lua");
const PLACE: &str = include_str!("lua/place.lua");
const INTAKE: &str = include_str!("lua/intake.lua");
const ROWS: &str = include_str!("lua/rows.lua");
const HISTORY: &str = include_str!("lua/history.lua");
const PEOPLE: &str = include_str!("lua/people.lua");

/// The first line, `#!lua`, must stay the first.
fn code(name: &'static str, own: &str, shared: &[&str]) -> Code {
    let (shebang, rest) = own.split_once('\n').unwrap_or((own, ""));
    let mut text = format!("{shebang}\n{BASE}");
    for part in shared {
        text.push_str(part);
    }
    text.push_str(rest);
    Code { name, script: Script::new(&text), text }
}

macro_rules! scripts {
    ($($name:ident [$($part:ident)*])*) => {
        pub(crate) struct Scripts { $(pub(crate) $name: Code),* }

        impl Scripts {
            pub(crate) fn new() -> Scripts {
                Scripts { $($name: code(stringify!($name), include_str!(concat!("lua/", stringify!($name), ".lua")), &[$($part),*])),* }
            }

            #[cfg(test)]
            fn all(&self) -> Vec<&Code> {
                vec![$(&self.$name),*]
            }
        }
    };
}

scripts! {
    layout []
    name_campaign [] find_campaigns [] name_destinations [] save_campaign [] read_campaign []
    begin_change [] end_change [] changes []
    secrets [] read_secrets []
    save_settings [] read_settings []
    segments [] read_segments []
    open_users [] save_users [] change_users [EVENTS] list_users [PEOPLE]
    accept_events [EVENTS] read_events [] recent_events [] read_records [] commit_events [PLACE INTAKE ROWS HISTORY]
    walk [PEOPLE] advance [PLACE INTAKE ROWS] close_occurrence []
    add [PLACE INTAKE] release [PLACE] claim [PLACE] facts [] settle [PLACE ROWS HISTORY EVENTS LEASES] reclaim [PLACE LEASES]
    set_control [PLACE] control []
    take_tokens [] reserve_caps [] release_caps [LEASES]
    failed_sends [] redrive [PLACE]
    erase_user [LEASES] erase_failed [] erase_refused [] erase_recent []
    list_destinations [] follow_destinations [] save_destinations [] take_places [] leave_places []
    log [] stats [] refusals []
    histories []
    put_aside []
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_says_what_it_takes_answers_and_costs() {
        for code in Scripts::new().all() {
            assert!(code.text.starts_with("#!lua"), "{}", code.name);
            for line in ["-- KEYS ", "-- ARGV ", "-- reply ", "-- bound "] {
                assert!(code.text.contains(line), "{} lacks {line}", code.name);
            }
        }
    }
}
