//! `kiln api-resources`: the kinds that the server has.
//!
//! Owns: which of them are shown, and their columns. Must not know: how the server tells them.

use clap::{ArgAction, ValueEnum};

use super::Exit;
use super::remote::{Error, Remote, Resource, all_of};
use super::table::Columns;

/// Show the kinds that the server has
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  kiln api-resources
  kiln api-resources -o wide               With what can be done with each
  kiln api-resources --api-group batch
  kiln api-resources --namespaced=false --verbs list -o name")]
pub(super) struct Args {
    /// wide or name
    #[arg(short, long, value_enum, value_name = "FORM")]
    output: Option<Form>,

    /// Only those of namespaces; `false`: only the others
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    namespaced: Option<bool>,

    /// Only those of this group; empty: of the core
    #[arg(long, value_name = "GROUP")]
    api_group: Option<String>,

    /// Only those with which all of this can be done
    #[arg(long, value_name = "VERB", value_delimiter = ',')]
    verbs: Vec<String>,

    /// Only those in all of these categories
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    categories: Vec<String>,

    /// Order of the kinds
    #[arg(long, value_enum, value_name = "COLUMN")]
    sort_by: Option<Order>,

    /// Show no headers
    #[arg(long)]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Wide,
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Order {
    Name,
    Kind,
}

impl Args {
    fn wants(&self, resource: &Resource) -> bool {
        let within = |wanted: &[String], all: &[String]| wanted.iter().all(|one| all.contains(one));
        self.namespaced.is_none_or(|wanted| wanted == resource.namespaced)
            && self.api_group.as_ref().is_none_or(|group| *group == resource.group)
            && !resource.verbs.is_empty()
            && within(&self.verbs, &resource.verbs)
            && within(&self.categories, &resource.categories)
    }
}

pub(super) async fn run(args: &Args, remote: &Remote) -> Result<Exit, Error> {
    let mut all = all_of(remote).await?;
    all.retain(|resource| args.wants(resource));
    all.sort_by_key(|resource| match args.sort_by {
        Some(Order::Name) => (resource.plural.clone(), String::new()),
        Some(Order::Kind) => (resource.kind.clone(), String::new()),
        None => (resource.group.clone(), resource.plural.clone()),
    });
    remote.print(show(args, &all));
    Ok(Exit::Done)
}

fn show(args: &Args, all: &[Resource]) -> String {
    if args.output == Some(Form::Name) {
        return all.iter().map(|resource| resource.qualified_plural() + "\n").collect();
    }
    let wide = args.output == Some(Form::Wide);
    let headers = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND", "VERBS", "CATEGORIES"];
    let shown = if wide { headers.len() } else { headers.len() - 2 };
    let mut rows = Vec::new();
    if !args.no_headers {
        rows.push(headers[..shown].iter().map(|header| (*header).to_owned()).collect());
    }
    for resource in all {
        let mut row = vec![
            resource.plural.clone(),
            resource.short_names.join(","),
            resource.api_version(),
            resource.namespaced.to_string(),
            resource.kind.clone(),
        ];
        if wide {
            row.push(resource.verbs.join(","));
            row.push(resource.categories.join(","));
        }
        rows.push(row);
    }
    Columns::default().set(&rows)
}
