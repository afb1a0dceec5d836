//! Templates: texts, and paths in braces.
//!
//! Owns: `range`, and texts in quotes. Must not know: how a path is followed.

use serde_json::Value;

use super::{Step, close, follow, steps, text, unquoted};

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Text(String),
    Path(Vec<Step>),
    /// For each of what the path leads to.
    Range(Vec<Step>, Vec<Node>),
}

/// A template: texts, and paths in braces; `{"\n"}` is a text too.
///
/// # Errors
/// It is no template.
pub(in crate::cli) fn render(template: &str, object: &Value) -> Result<String, String> {
    let mut rendered = String::new();
    write(&parse(template)?, object, object, &mut rendered);
    Ok(rendered)
}

fn write(nodes: &[Node], from: &Value, root: &Value, to: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => *to += text,
            Node::Path(steps) => {
                let texts: Vec<_> = follow(steps, from, root).into_iter().map(text).collect();
                *to += &texts.join(" ");
            }
            Node::Range(steps, inner) => {
                for value in follow(steps, from, root) {
                    write(inner, value, root, to);
                }
            }
        }
    }
}

fn parse(template: &str) -> Result<Vec<Node>, String> {
    // The nodes of each range that is open, below those of the template.
    let mut open: Vec<(Vec<Step>, Vec<Node>)> = vec![(Vec::new(), Vec::new())];
    let mut rest = template;
    loop {
        let start = rest.find('{').unwrap_or(rest.len());
        if start > 0 {
            push(&mut open, Node::Text(rest[..start].to_owned()));
        }
        let Some(inside) = rest.get(start + 1..) else { break };
        let end = close(inside, '{', '}').ok_or("unclosed action")?;
        let inner = inside[..end].trim();
        if inner == "end" {
            let (steps, nodes) =
                open.pop().filter(|_| !open.is_empty()).ok_or("`end` without `range`")?;
            push(&mut open, Node::Range(steps, nodes));
        } else if let Some(path) = inner.strip_prefix("range ") {
            open.push((steps(path)?, Vec::new()));
        } else if let Some(text) = unquoted(inner) {
            push(&mut open, Node::Text(text));
        } else {
            push(&mut open, Node::Path(steps(inner)?));
        }
        rest = &inside[end + 1..];
    }
    match open.pop() {
        Some((_, nodes)) if open.is_empty() => Ok(nodes),
        Some(_) | None => Err("`range` without `end`".to_owned()),
    }
}

fn push(open: &mut [(Vec<Step>, Vec<Node>)], node: Node) {
    if let Some((_, nodes)) = open.last_mut() {
        nodes.push(node);
    }
}
