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
        for line in file.lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(_), Some("0")) = (fields.next(), fields.next(), fields.next())
            {
                assert_eq!(users.name(0), Some(name));
                break;
            }
        }
        // Not given to anybody: the last id stands for "no change".
        assert_eq!(users.name(u32::MAX - 1), None);
        assert_eq!(users.known.len(), 1 + usize::from(!file.is_empty()));
    }
}
