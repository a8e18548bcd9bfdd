//! Maps by the kernel's ids. An attacker chooses them only within narrow limits, so a fast
//! hash without a secret key suffices.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

/// A map by ids.
pub(super) type ById<K, V> = HashMap<K, V, FxBuildHasher>;
