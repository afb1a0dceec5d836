//! What is shown of what was written, and whether it is to be written at all.
//!
//! Owns: `--dry-run`, and `-o` of the commands that write. Must not know: what they write.

use clap::ValueEnum;
use serde_json::Value;

use super::get::{Form, render, without_managed_fields};
use super::remote::{Error, FIELD_MANAGER, Remote, Resource, query};

/// How it is written, and what is shown of it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Writing {
    /// Only try: `client` sends nothing, `server` has the server check it
    #[arg(long, value_enum, value_name = "HOW", default_value_t = DryRun::None, hide_possible_values = true)]
    pub(super) dry_run: DryRun,

    /// Show the objects instead: name, yaml, json, jsonpath=TEMPLATE and more
    #[arg(short, long, value_name = "FORM")]
    output: Option<String>,

    /// Who owns the fields that are written
    #[arg(long, value_name = "NAME", default_value = FIELD_MANAGER)]
    field_manager: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum DryRun {
    None,
    Client,
    Server,
}

impl Writing {
    /// What is asked of the server with each object.
    pub(super) fn query(&self, more: &[(&str, &str)]) -> String {
        let dry_run = if self.dry_run == DryRun::Server { "All" } else { "" };
        let mut all = vec![("fieldManager", self.field_manager.as_str()), ("dryRun", dry_run)];
        all.extend(more);
        query(&all)
    }

    /// Nothing is sent.
    pub(super) fn is_local(&self) -> bool {
        self.dry_run == DryRun::Client
    }

    /// # Errors
    /// There is no such form.
    pub(super) fn report<'a>(&self, remote: &'a Remote) -> Result<Report<'a>, Error> {
        let form = match self.output.as_deref().map(|form| Form::read(Some(form))).transpose()? {
            Some(Form::Table { .. }) => {
                return Err(Error::usage("-o wide is of `get`: use name, yaml or json"));
            }
            form => form,
        };
        let tried = match self.dry_run {
            DryRun::None => "",
            DryRun::Client => " (dry run)",
            DryRun::Server => " (server dry run)",
        };
        Ok(Report { form, tried, remote, is_first: true })
    }
}

/// Tells what came of each object.
pub(super) struct Report<'a> {
    form: Option<Form>,
    tried: &'static str,
    remote: &'a Remote,
    is_first: bool,
}

impl Report<'_> {
    /// `job.batch/pi created`, or the object itself.
    ///
    /// # Errors
    /// The object cannot be shown so.
    pub(super) fn tell(
        &mut self,
        resource: &Resource,
        object: &Value,
        done: &str,
    ) -> Result<(), Error> {
        let Some(form) = &self.form else {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            self.remote.print(format!("{resource}/{name} {done}{}\n", self.tried));
            return Ok(());
        };
        let mut object = object.clone();
        without_managed_fields(&mut object);
        let gap = if *form == Form::Yaml && !self.is_first { "---\n" } else { "" };
        self.is_first = false;
        let shown = render(form, vec![(resource.to_string(), object)], true, false)?;
        self.remote.print(gap.to_owned() + &shown);
        Ok(())
    }
}
