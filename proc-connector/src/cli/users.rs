//! Names of users, each asked for once: the answer may come from a directory on the network.

use std::collections::HashMap;

use nix::unistd::{Uid, User};

/// Names of this machine's users, by id.
#[derive(Debug, Default)]
pub(super) struct Users {
    known: HashMap<u32, Option<Box<str>>>,
}

impl Users {
    /// What a user is called; `None` for one without a name here, such as a container's.
    pub(super) fn name(&mut self, uid: u32) -> Option<&str> {
        let asked = || Some(User::from_uid(Uid::from_raw(uid)).ok()??.name.into());
        self.known.entry(uid).or_insert_with(asked).as_deref()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::Users;

    #[test]
    fn users_have_the_names_that_the_machine_gives_them() {
        let mut users = Users::default();
        let file = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let mut lines = file.lines().map(|line| line.split(':').collect::<Vec<_>>());
        if let Some(root) = lines.find(|fields| fields.get(2) == Some(&"0")) {
            assert_eq!(users.name(0), Some(root[0]));
        }
        // Given to nobody: the next one stands for "no change".
        assert_eq!(users.name(u32::MAX - 1), None);
        assert!(users.known.contains_key(&(u32::MAX - 1)), "asked again for each event");
    }
}
