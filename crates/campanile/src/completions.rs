//! `campanile completions SHELL`: what a shell reads to complete commands and flags. Needs no server.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell.
    shell: Shell,
}

pub fn run(args: &CompletionsArgs, output: Output) {
    output.line(script(args.shell).trim_end());
    output.next(match args.shell {
        Shell::Bash => "campanile completions bash > ~/.local/share/bash-completion/completions/campanile",
        Shell::Zsh => "campanile completions zsh > \"${fpath[1]}/_campanile\"",
        Shell::Fish => "campanile completions fish > ~/.config/fish/completions/campanile.fish",
        Shell::Elvish => "campanile completions elvish >> ~/.config/elvish/rc.elv",
        _ => "campanile completions powershell >> $PROFILE",
    });
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "campanile", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_learns_every_command() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            for command in ["serve", "campaign", "apply", "receive", "completions"] {
                assert!(script.contains(command), "{shell}: {command}");
            }
        }
    }
}
