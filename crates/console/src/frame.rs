//! Pure. What stands around every page: the commands that do the same, the search box, and what the page follows.

use crate::guard::Token;

/// Shown by `base.html`.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Commands that do what the page does, ready to be typed.
    pub(crate) commands: Vec<String>,
    /// Brought back by the page's forms.
    pub(crate) token: String,
    /// Whoever looks brought an access token, and may take it back.
    pub(crate) is_known: bool,
    /// What was looked for.
    pub(crate) sought: String,
    /// Where the page hears that something happened; empty where it does not change.
    pub(crate) live: String,
    /// Said once, after something was done.
    pub(crate) notice: String,
}

impl Frame {
    /// `commands` are what follows `campanile`, their words quoted for a shell.
    pub(crate) fn new(token: &Token, commands: &[String]) -> Frame {
        let commands = commands.iter().map(|command| format!("campanile {command}")).collect();
        Frame { commands, token: token.text.clone(), is_known: token.is_known, ..Frame::default() }
    }

    pub(crate) fn live(mut self, link: String) -> Frame {
        self.live = link;
        self
    }

    pub(crate) fn noting(mut self, notice: String) -> Frame {
        self.notice = notice;
        self
    }
}
