//! Quantities: `500m`, `1.5Gi`, `2e3`, exactly.
//!
//! Owns: how a quantity is read and what it amounts to. Must not know: cgroups, what a resource is for.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Quantities by the name of the resource: `cpu`, `memory`.
pub type ResourceList = BTreeMap<String, Text>;

/// An exact amount, to a billionth. What is finer is rounded up, what is larger than 2^63-1 capped.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nanos: i128,
}

/// Why a text is no quantity, in Kubernetes' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error(
        "quantities must match the regular expression \
         '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Shape,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Quantity {
    /// Reads a number with an optional suffix.
    ///
    /// # Errors
    /// When there is no number, or the suffix is none of the known ones.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            Some(_) | None => (false, text),
        };
        let end =
            unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') || (whole.is_empty() && fraction.is_empty()) {
            return Err(Malformed::Shape);
        }
        let magnitude = amount(whole, fraction, Scale::of(suffix)?);
        Ok(Self { nanos: if negative { -magnitude } else { magnitude } })
    }

    /// So many whole units.
    pub fn of(units: u64) -> Self {
        Self { nanos: (i128::from(units) * NANO).min(CAP) }
    }

    /// As an amount of bytes is written: `3Mi`.
    pub fn in_bytes(self) -> String {
        let (mut value, mut suffix) = (self.value(), "");
        for larger in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] {
            if value == 0 || value % 1024 != 0 {
                break;
            }
            (value, suffix) = (value / 1024, larger);
        }
        format!("{value}{suffix}")
    }

    /// How often a unit that is more than nothing fits in, rounded up.
    pub fn multiples_of(self, unit: Self) -> i64 {
        self.in_units_of(unit.nanos.max(1))
    }

    /// Thousandths, rounded up.
    pub fn millis(self) -> i64 {
        self.in_units_of(NANO / 1000)
    }

    /// Whole units, rounded up: bytes of memory.
    pub fn value(self) -> i64 {
        self.in_units_of(NANO)
    }

    /// Whether this is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nanos < 0
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos) }
    }

    fn in_units_of(self, unit: i128) -> i64 {
        let up = i128::from(self.nanos % unit > 0);
        let units = self.nanos / unit + up;
        i64::try_from(units).unwrap_or(if units < 0 { i64::MIN } else { i64::MAX })
    }
}

/// What the names of huge pages begin with; the size of a page follows.
/// <https://kubernetes.io/docs/tasks/manage-hugepages/scheduling-hugepages/>
pub const HUGE_PAGES: &str = "hugepages-";

/// The amount of this resource; `None` if the list lacks it or it cannot be read.
pub fn amount_of(list: Option<&ResourceList>, resource: &str) -> Option<Quantity> {
    Quantity::parse(&list?.get(resource)?.0).ok()
}

/// The thousandths of a processor in a list of limits or requests.
/// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-cpu>
pub fn cpu_millis(list: Option<&ResourceList>) -> Option<u64> {
    u64::try_from(amount_of(list, "cpu")?.millis()).ok()
}

/// The bytes of memory in a list of limits or requests.
/// <https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#meaning-of-memory>
pub fn memory_bytes(list: Option<&ResourceList>) -> Option<u64> {
    u64::try_from(amount_of(list, "memory")?.value()).ok()
}

/// What the container may use at most.
pub fn limits(container: &Container) -> Option<&ResourceList> {
    container.resources.as_ref()?.limits.as_ref()
}

/// What the container asks for.
pub fn requests(container: &Container) -> Option<&ResourceList> {
    container.resources.as_ref()?.requests.as_ref()
}

const NANO: i128 = 1_000_000_000;
const CAP: i128 = i64::MAX as i128 * NANO;
/// More digits after the point cannot change a billionth, but for rounding it up.
const FRACTION_DIGITS: usize = 18;

/// What a suffix multiplies by: two to the one power, times ten to the other.
struct Scale {
    two: u32,
    ten: i32,
}

impl Scale {
    fn of(suffix: &str) -> Result<Self, Malformed> {
        let ten = |ten| Ok(Self { two: 0, ten });
        let two = |two| Ok(Self { two, ten: 0 });
        match suffix {
            "n" => ten(-9),
            "u" => ten(-6),
            "m" => ten(-3),
            "" => ten(0),
            "k" => ten(3),
            "M" => ten(6),
            "G" => ten(9),
            "T" => ten(12),
            "P" => ten(15),
            "E" => ten(18),
            "Ki" => two(10),
            "Mi" => two(20),
            "Gi" => two(30),
            "Ti" => two(40),
            "Pi" => two(50),
            "Ei" => two(60),
            other => {
                let exponent = other.strip_prefix(['e', 'E']).ok_or_else(|| wrong(other))?;
                exponent.parse().map_err(|_| wrong(other)).and_then(ten)
            }
        }
    }
}

fn wrong(suffix: &str) -> Malformed {
    let possible = |c: char| "eEinumkKMGTP+-".contains(c) || c.is_ascii_digit();
    if suffix.chars().all(possible) { Malformed::Suffix } else { Malformed::Shape }
}

/// `whole.fraction` times the scale, in billionths, rounded up and capped.
fn amount(whole: &str, fraction: &str, scale: Scale) -> i128 {
    let fraction = fraction.trim_end_matches('0');
    let kept = &fraction[..fraction.len().min(FRACTION_DIGITS)];
    let cut = kept.len() < fraction.len();
    let mut digits = whole.bytes().chain(kept.bytes()).map(|b| i128::from(b - b'0'));
    let mantissa = digits.try_fold(0i128, |sum, d| sum.checked_mul(10)?.checked_add(d));
    let shifted = mantissa.and_then(|m| m.checked_mul(1i128 << scale.two));
    // So many digits before the point are beyond the cap with any suffix but a tiny exponent.
    let Some(shifted) = shifted else { return CAP };
    let places = i32::try_from(kept.len()).expect("at most 18");
    let power = scale.ten.saturating_add(9).saturating_sub(places);
    let ten = 10i128.checked_pow(power.unsigned_abs());
    let nanos = match (power >= 0, ten) {
        (_, _) if shifted == 0 => i128::from(cut),
        (true, Some(ten)) => shifted.checked_mul(ten).unwrap_or(CAP),
        (true, None) => CAP,
        (false, Some(ten)) => shifted / ten + i128::from(shifted % ten > 0 || cut),
        (false, None) => 1,
    };
    nanos.min(CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_exact() {
        for (text, millis, value) in [
            ("0", 0, 0),
            ("1", 1000, 1),
            ("500m", 500, 1),
            ("0.1", 100, 1),
            (".5", 500, 1),
            ("5.", 5000, 5),
            ("+2", 2000, 2),
            ("-1500m", -1500, -1),
            ("100n", 1, 1),
            ("0.1m", 1, 1),
            ("1.5Gi", 1_610_612_736_000, 1_610_612_736),
            ("128974848", 128_974_848_000, 128_974_848),
            ("129e6", 129_000_000_000, 129_000_000),
            ("129M", 129_000_000_000, 129_000_000),
            ("123Mi", 128_974_848_000, 128_974_848),
            ("12E-3", 12, 1),
            ("2k", 2_000_000, 2000),
            ("1.0000000000000000000001", 1001, 2),
            ("1e-99999", 1, 1),
            ("0e99999", 0, 0),
        ] {
            let quantity = Quantity::parse(text).expect(text);
            assert_eq!((quantity.millis(), quantity.value()), (millis, value), "{text}");
        }
    }

    #[test]
    fn what_is_too_large_is_capped() {
        for text in ["8Ei", "1e99", "99999999999999999999999999999999999999999999"] {
            assert_eq!(Quantity::parse(text).expect(text).value(), i64::MAX, "{text}");
        }
        assert_eq!(Quantity::parse("1E").expect("exa").value(), 1_000_000_000_000_000_000);
        assert_eq!(Quantity::parse("7Ei").expect("7Ei").value(), 7 << 60);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in ["", "m", "-", ".", "1.2.3", "two", "1 Gi", "1gb", "0x10"] {
            assert_eq!(Quantity::parse(text), Err(Malformed::Shape), "{text}");
        }
        for text in ["1KI", "1e", "1mi", "1e1.5e"] {
            assert!(Quantity::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quantities_compare_by_their_amount() {
        let parse = |text| Quantity::parse(text).expect("well formed");
        assert_eq!(parse("1000m"), parse("1"));
        assert!(parse("1Gi") > parse("1G") && parse("-1").is_negative());
    }

    #[test]
    fn a_list_answers_in_millis_and_bytes() {
        let list = ResourceList::from([
            ("cpu".to_owned(), Text("250m".to_owned())),
            ("memory".to_owned(), Text("64Mi".to_owned())),
        ]);
        assert_eq!(cpu_millis(Some(&list)), Some(250));
        assert_eq!(memory_bytes(Some(&list)), Some(64 << 20));
        assert_eq!((cpu_millis(None), memory_bytes(Some(&ResourceList::new()))), (None, None));
    }
}
