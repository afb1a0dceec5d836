//! Where a field is: `spec.template.spec.containers[0].image`.
//!
//! Owns: how a path is written. Must not know: what the fields mean.

use std::fmt;

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// A field that the API names.
    Field(String),
    /// An element of a list.
    Index(usize),
    /// A key that the user names: of a label, of a resource.
    Key(String),
}

/// The steps from the root of an object to a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path(Vec<Segment>);

impl Path {
    /// Reads `a.b.c`, of fields only.
    pub fn of(fields: &str) -> Self {
        Self(fields.split('.').map(|f| Segment::Field(f.to_owned())).collect())
    }

    pub fn field(&self, name: &str) -> Self {
        self.then(Segment::Field(name.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    pub fn key(&self, key: &str) -> Self {
        self.then(Segment::Key(key.to_owned()))
    }

    /// The same steps, taken from another field instead of the root.
    pub fn below(&self, other: &Self) -> Self {
        Self(other.0.iter().chain(&self.0).cloned().collect())
    }

    /// The path without its last step.
    pub fn parent(&self) -> Self {
        Self(self.0[..self.0.len().saturating_sub(1)].to_vec())
    }

    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    fn then(&self, segment: Segment) -> Self {
        let mut steps = self.0.clone();
        steps.push(segment);
        Self(steps)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Field(name) if i == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Key(key) => write!(f, "[{key}]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_kubernetes_writes_it() {
        let path = Path::of("spec.containers").index(2).field("limits").key("a.b/c");
        assert_eq!(path.to_string(), "spec.containers[2].limits[a.b/c]");
        assert_eq!(Path::default().to_string(), "");
    }
}
