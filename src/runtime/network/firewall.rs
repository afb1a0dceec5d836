//! The packet filter's rules of kiln's own bridge.
//!
//! Owns: which rules there are, adding those that are missing, and taking them away. All bear the owner's name
//! as a comment, by which they are found. Must not know: pods, plugins.
//!
//! One rule for the whole bridge instead of two chains for each pod, as the bridge plugin's own `ipMasq` makes
//! them: that takes longer than all the rest of a pod's network.

use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

/// How long, in seconds, to wait for others who change the rules.
const WAIT_FOR_OTHERS: &str = "--wait=10";

/// What a bridge needs: its pods reach the world under the host's address, and what they send and get is let
/// through, whatever else this host forwards.
fn rules(owner: &str, subnet: &str) -> [(&'static str, String); 3] {
    let comment = format!("-m comment --comment {owner}");
    [
        ("nat", format!("POSTROUTING -s {subnet} ! -d {subnet} {comment} -j MASQUERADE")),
        ("filter", format!("FORWARD -i {owner} {comment} -j ACCEPT")),
        ("filter", format!("FORWARD -o {owner} {comment} -j ACCEPT")),
    ]
}

/// Adds the rules that are missing. Blocks. `owner`: the name of the bridge.
pub(super) fn allow(owner: &str, subnet: &str) -> io::Result<()> {
    let there = saved()?;
    let missing =
        |(_, rule): &&(_, String)| !there.lines().any(|line| line == format!("-A {rule}"));
    let rules = rules(owner, subnet);
    let missing: Vec<_> = rules.iter().filter(missing).collect();
    // Before what others have put there: a host that forwards nothing else refuses at the end.
    restore(missing.iter().map(|(table, rule)| (*table, format!("-I {rule}"))))
}

/// Takes all rules of this owner away. Blocks.
pub(super) fn forget(owner: &str) -> io::Result<()> {
    let there = match saved() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    restore(of_owner(&there, owner).into_iter())
}

/// The deletion of each of the owner's rules, by table.
fn of_owner<'a>(there: &'a str, owner: &str) -> Vec<(&'a str, String)> {
    let mark = format!("--comment {owner} ");
    let (mut table, mut found) = ("", Vec::new());
    for line in there.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name;
        } else if let Some(rule) = line.strip_prefix("-A ").filter(|rule| rule.contains(&mark)) {
            found.push((table, format!("-D {rule}")));
        }
    }
    found
}

/// Whether rules can be read on this host, which is what it takes to add some.
pub(super) fn check() -> io::Result<()> {
    saved().map(drop)
}

fn saved() -> io::Result<String> {
    let output = command("iptables-save").stdin(Stdio::null()).output()?;
    let output = succeeded(output, "iptables-save")?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Carries out these lines, all of a table or none.
fn restore<'a>(lines: impl Iterator<Item = (&'a str, String)>) -> io::Result<()> {
    let mut text = String::new();
    let mut open = "";
    for (table, line) in lines {
        if table != open {
            text.push_str(if open.is_empty() { "" } else { "COMMIT\n" });
            text.push_str(&format!("*{table}\n"));
            open = table;
        }
        text.push_str(&format!("{line}\n"));
    }
    if text.is_empty() {
        return Ok(());
    }
    text.push_str("COMMIT\n");
    let mut command = command("iptables-restore");
    command.args(["--noflush", WAIT_FOR_OTHERS]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(text.as_bytes())?;
    drop(stdin);
    succeeded(child.wait_with_output()?, "iptables-restore").map(drop)
}

fn command(name: &str) -> Command {
    let mut command = Command::new(name);
    command.env("PATH", super::plugin::path()).stderr(Stdio::piped());
    command
}

fn succeeded(output: Output, name: &str) -> io::Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("{name}: {}", said.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_of_one_owner_are_found_in_their_tables() {
        let there = "*nat\n:POSTROUTING ACCEPT [0:0]\n\
                     -A POSTROUTING -s 10.130.4.0/22 ! -d 10.130.4.0/22 -m comment --comment kiln-1 -j MASQUERADE\n\
                     -A POSTROUTING -s 10.1.0.0/16 -m comment --comment kiln-12 -j MASQUERADE\nCOMMIT\n\
                     *filter\n-A FORWARD -i kiln-1 -m comment --comment kiln-1 -j ACCEPT\nCOMMIT\n";
        let [nat, forward, _] = rules("kiln-1", "10.130.4.0/22");
        let expected = [nat, forward].map(|(table, rule)| (table, format!("-D {rule}")));
        assert_eq!(of_owner(there, "kiln-1"), expected);
        assert_eq!(of_owner(there, "kiln-2"), []);
    }
}
