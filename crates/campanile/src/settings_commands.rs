//! `campanile settings ...`: the deployment's settings, shown as a file and made as a file says.

use std::path::Path;

use campanile_core::encode::shell_word;
use campanile_proto::short_form::short_form;
use campanile_proto::{settings_file, v1 as wire};

use crate::campaign_files::{of_file, read_bytes};
use crate::cli_deployment::SettingsCommand;
use crate::connect::Api;
use crate::difference::{Line, lines};
use crate::fail::Fail;
use crate::output::{Output, Tone, confirm};

pub async fn run(api: Api, command: SettingsCommand, output: Output) -> Result<(), Fail> {
    match command {
        SettingsCommand::Show => show(api, output).await,
        SettingsCommand::Apply { file, yes } => apply(api, &file, yes, output).await,
    }
}

async fn show(mut api: Api, output: Output) -> Result<(), Fail> {
    let settings = stored(&mut api).await?;
    if output.is_json() {
        return output.message(&settings);
    }
    output.line(&shown(&settings)?);
    output.note(&match settings.revision {
        0 => "nothing is set yet".to_owned(),
        revision => format!("revision {revision}"),
    });
    output.next(
        "campanile settings show > settings.yaml, edit it, and campanile settings apply -f settings.yaml",
    );
    Ok(())
}

async fn stored(api: &mut Api) -> Result<wire::Settings, Fail> {
    Ok(api
        .settings
        .get_settings(wire::GetSettingsRequest {})
        .await?
        .into_inner()
        .settings
        .unwrap_or_default())
}

fn shown(settings: &wire::Settings) -> Result<String, Fail> {
    if is_empty(settings) {
        return Ok("{}".to_owned());
    }
    let text = short_form(settings).map_err(|e| Fail::refused(e.to_string()))?;
    Ok(text.trim_end().to_owned())
}

fn is_empty(settings: &wire::Settings) -> bool {
    let own = wire::Settings { revision: 0, updated_at: None, ..settings.clone() };
    own == wire::Settings::default()
}

/// Checks the file as a whole, shows what would change, asks, and stores it over what was looked at.
async fn apply(mut api: Api, file: &Path, yes: bool, output: Output) -> Result<(), Fail> {
    let (name, bytes) = read_bytes(file)?;
    let written = settings_file::read(&bytes)
        .map_err(|faults| Fail::placed(faults.iter().map(|fault| of_file(&name, fault)).collect()))?;
    let there = stored(&mut api).await?;
    let request = |validate_only| wire::UpdateSettingsRequest {
        settings: Some(written.clone()),
        expected_revision: there.revision,
        validate_only,
        ..Default::default()
    };
    let checked = api.settings.update_settings(request(true)).await?.into_inner();
    for warning in &checked.warnings {
        output.warning(&format!("{}: {}", warning.field, warning.description));
    }
    let changed = lines(&shown(&there)?, &shown(&checked.settings.unwrap_or_default())?);
    for line in &changed {
        match line {
            Line::Kept(text) => output.note(&format!("    {text}")),
            Line::Gone(text) => output.changed(Tone::Bad, &format!("  - {text}")),
            Line::New(text) => output.changed(Tone::Good, &format!("  + {text}")),
            Line::Gap => output.note("    ..."),
        }
    }
    if !changed.is_empty() && !yes {
        confirm("Every campaign is held to these settings. Apply?", "add --yes to apply them all the same")?;
    }
    let settings =
        api.settings.update_settings(request(false)).await?.into_inner().settings.unwrap_or_default();
    if output.is_json() {
        return output.message(&settings);
    }
    output.line(&match changed.is_empty() {
        true => "the settings are as written".to_owned(),
        false => format!("the settings are changed, now at revision {}", settings.revision),
    });
    output.next(&format!("campanile settings show, or edit {} and apply it again", shell_word(&name)));
    Ok(())
}
