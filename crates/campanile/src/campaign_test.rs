//! `campanile campaign test`: the cases beside campaign files, judged here without a server, for a team's CI.

use std::path::{Path, PathBuf};

use campanile_control::case::{CaseFaults, differences, judge};
use campanile_core::fault::Faults;
use campanile_proto::filed::Filed;
use campanile_proto::test_file;
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use serde_json::json;

use crate::campaign_files::{self, TEST_ENDINGS, Written};
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::table::plain;
use crate::words;

#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// Folders, or files NAME.test.yaml; each stands beside the campaign's file NAME.yaml.
    #[arg(required = true, value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
}

/// A file of cases, with the campaigns beside it.
struct TestFile {
    name: String,
    test: Filed<wire::CampaignTest>,
    campaigns: Vec<Written>,
}

pub fn run(args: &TestArgs, now: Timestamp, output: Output) -> Result<(), Fail> {
    let mut files = Vec::new();
    for path in campaign_files::test_files(&args.paths)? {
        files.push(read(&path)?);
    }
    let (mut passed, mut failed) = (0, 0);
    for file in &files {
        for (place, case) in file.test.message.cases.iter().enumerate() {
            let wrong = file.judge(place, case, now)?;
            let name = if case.name.is_empty() { format!("case {}", place + 1) } else { plain(&case.name) };
            if output.is_json() {
                let told =
                    json!({ "file": file.name, "case": name, "passed": wrong.is_empty(), "wrong": wrong });
                output.line(&told.to_string());
            } else if wrong.is_empty() {
                output.line(&format!("{} {}: {name}", output.paint(Tone::Good, "passed"), file.name));
            } else {
                output.line(&format!(
                    "{} {}: {name}",
                    output.paint(Tone::Bad, "FAILED"),
                    file.place(place, "")
                ));
                wrong.iter().for_each(|line| output.line(&format!("    {}", plain(line))));
            }
            if wrong.is_empty() { passed += 1 } else { failed += 1 }
        }
    }
    if passed + failed == 0 {
        return Err(Fail::input("there is no case here: write NAME.test.yaml beside NAME.yaml"));
    }
    let summary = format!("{passed} passed, {failed} failed");
    if failed > 0 {
        return Err(Fail::refused(format!("{} failed: {summary}", words::counted(failed, "case"))));
    }
    if !output.is_json() {
        output.line(&summary);
    }
    Ok(())
}

fn read(path: &Path) -> Result<TestFile, Fail> {
    let (name, bytes) = campaign_files::read_bytes(path)?;
    let test = test_file::read(&bytes).map_err(|faults| {
        let line = |f: &campanile_proto::file_fault::FileFault| {
            campaign_files::placed(&name, f.line, f.column, &f.path, &f.text)
        };
        Fail::placed(faults.iter().map(line).collect())
    })?;
    let campaigns = campaign_files::read(&[beside(path)?])?;
    Ok(TestFile { name, test, campaigns })
}

/// The campaign's file that a file of cases is about.
fn beside(path: &Path) -> Result<PathBuf, Fail> {
    let name = path.to_string_lossy();
    let stem = TEST_ENDINGS.iter().find_map(|ending| name.strip_suffix(ending));
    let stem = stem.ok_or_else(|| Fail::input(format!("{name}: expected a name like NAME.test.yaml")))?;
    let campaign = ["yaml", "yml", "json"].iter().map(|ending| PathBuf::from(format!("{stem}.{ending}")));
    let found = campaign.into_iter().find(|file| file.is_file());
    found.ok_or_else(|| Fail::input(format!("{name}: there is no campaign's file {stem}.yaml beside it")))
}

impl TestFile {
    /// What is not as it should be.
    fn judge(&self, place: usize, case: &wire::CampaignCase, now: Timestamp) -> Result<Vec<String>, Fail> {
        self.check_expected(place, case)?;
        let written = self.campaign(place, case)?;
        let came = judge(written.campaign(), &self.test.message, case, now);
        let came = came.map_err(|faults| match faults {
            CaseFaults::OfCampaign(faults) => {
                Fail::placed(faults.0.iter().map(|fault| written.place(&fault.field, &fault.text)).collect())
            }
            CaseFaults::OfCase(faults) => self.faulty(&format!("cases[{place}]."), &faults),
            CaseFaults::OfTest(faults) => self.faulty("", &faults),
        })?;
        Ok(differences(case, &came))
    }

    fn check_expected(&self, place: usize, case: &wire::CampaignCase) -> Result<(), Fail> {
        let given = [
            case.expect.is_some(),
            case.expect_refused() != wire::RefusalReason::Unspecified,
            case.expect_suppressed() != wire::SuppressionReason::Unspecified,
        ];
        if given.iter().filter(|given| **given).count() == 1 {
            return Ok(());
        }
        let mut faults = Faults::default();
        faults.add("expect", "give exactly one of expect, expect_refused and expect_suppressed");
        Err(self.faulty(&format!("cases[{place}]."), &faults))
    }

    fn campaign(&self, place: usize, case: &wire::CampaignCase) -> Result<&Written, Fail> {
        let mut faults = Faults::default();
        match (case.campaign.as_str(), self.campaigns.as_slice()) {
            ("", [only]) => return Ok(only),
            ("", _) => faults.add("campaign", "is missing: the file beside it holds several campaigns"),
            (id, all) => match all.iter().find(|written| written.id() == id) {
                Some(written) => return Ok(written),
                None => faults.add("campaign", format!("there is no campaign {id:?} in the file beside it")),
            },
        }
        Err(self.faulty(&format!("cases[{place}]."), &faults))
    }

    /// `within`: what the paths of the faults begin with in the file.
    fn faulty(&self, within: &str, faults: &Faults) -> Fail {
        let line = |fault: &campanile_core::fault::Fault| {
            let field = format!("{within}{}", fault.field);
            let at = self.test.place_of(&field);
            campaign_files::placed(&self.name, at.line, at.column, &field, &fault.text)
        };
        Fail::placed(faults.0.iter().map(line).collect())
    }

    /// `NAME.test.yaml:LINE:COLUMN` of a case.
    fn place(&self, place: usize, text: &str) -> String {
        let at = self.test.place_of(&format!("cases[{place}]"));
        campaign_files::placed(&self.name, at.line, at.column, "", text)
            .trim_end_matches([':', ' '])
            .to_owned()
    }
}
