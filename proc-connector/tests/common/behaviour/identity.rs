//! Processes that change their user, their group, their session or their name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use nix::sys::prctl::set_name;
use nix::unistd::{Gid, Uid, setegid, seteuid, setresgid, setresuid, setsid};

use super::programs::{c_string, image};
use super::stage::{Stage, exec_at, this};
use super::sys;
use super::truth::Truth;
use super::{Behaviour, Need::Programs, Need::Root, behaviours};

pub(crate) const PLAIN: &[Behaviour] = behaviours![&[];
    starts_a_session,
    renames_itself,
    renames_itself_through_proc,
    a_thread_renames_the_first,
];
pub(crate) const AS_ROOT: &[Behaviour] = behaviours![&[Root];
    changes_its_user,
    changes_its_effective_user,
    changes_its_group,
    changes_its_effective_group,
    one_thread_changes_its_user,
];
pub(crate) const AS_ROOT_WITH_PROGRAMS: &[Behaviour] = behaviours![&[Root, Programs];
    executes_as_another_user,
    executes_a_program_that_sets_the_user,
];

fn starts_a_session(stage: &Stage) {
    let truth = stage.fork(|| {
        setsid().expect("no leader of a group");
    });
    let session = Some(truth.tgid);
    (Truth { session, ..truth }).reap();
}

fn renames_itself(stage: &Stage) {
    let name = format!("renamed {}", stage.number);
    let truth = stage.fork(|| set_name(&c_string(&name)).expect("a name"));
    (Truth { comm: Some(name), ..truth }).reap();
}

fn renames_itself_through_proc(stage: &Stage) {
    let truth = stage.fork(|| {
        fs::write("/proc/self/comm", "a name of more than 15 bytes").expect("an own file");
    });
    (Truth { comm: Some("a name of more ".to_owned()), ..truth }).reap();
}

fn a_thread_renames_the_first(stage: &Stage) {
    let truth = stage.fork(|| {
        let path = format!("/proc/self/task/{}/comm", this());
        let rename = move || fs::write(path, "by another").expect("a thread of this process");
        thread::spawn(rename).join().expect("no panic");
    });
    (Truth { comm: Some("by another".to_owned()), ..truth }).reap();
}

fn user(stage: &Stage) -> u32 {
    20_000 + stage.number % 1_000
}

fn changes_its_user(stage: &Stage) {
    let user = user(stage);
    let id = Uid::from_raw(user);
    let truth = stage.fork(|| setresuid(id, id, id).expect("CAP_SETUID"));
    (Truth { uid: Some((user, user)), ..truth }).reap();
}

fn changes_its_effective_user(stage: &Stage) {
    let user = user(stage);
    let truth = stage.fork(|| seteuid(Uid::from_raw(user)).expect("CAP_SETUID"));
    (Truth { uid: truth.uid.map(|(real, _)| (real, user)), ..truth }).reap();
}

fn changes_its_group(stage: &Stage) {
    let group = user(stage);
    let id = Gid::from_raw(group);
    let truth = stage.fork(|| setresgid(id, id, id).expect("CAP_SETGID"));
    (Truth { gid: Some((group, group)), ..truth }).reap();
}

fn changes_its_effective_group(stage: &Stage) {
    let group = user(stage);
    let truth = stage.fork(|| setegid(Gid::from_raw(group)).expect("CAP_SETGID"));
    (Truth { gid: truth.gid.map(|(real, _)| (real, group)), ..truth }).reap();
}

/// The first thread keeps its user.
fn one_thread_changes_its_user(stage: &Stage) {
    let user = user(stage);
    stage.run(|| {
        let change = move || sys::set_thread_user(user).expect("CAP_SETUID");
        thread::spawn(change).join().expect("no panic");
    });
}

fn executes_as_another_user(stage: &Stage) {
    let user = user(stage);
    let id = Uid::from_raw(user);
    let words = ["chain", "1", "as another user"];
    let truth = stage.fork(|| {
        setresuid(id, id, id).expect("CAP_SETUID");
        match stage.exec(&words) {}
    });
    (Truth { uid: Some((user, user)), ..truth }.executes(stage.image(&words))).reap();
}

/// The program belongs to the user 0, and its effective user becomes that one again.
fn executes_a_program_that_sets_the_user(stage: &Stage) {
    let user = user(stage);
    let id = Uid::from_raw(user);
    let path = stage.programs.path(&format!("setuid-{}-{}", this(), stage.number));
    fs::copy(stage.chain(), &path).expect("a writable directory");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o4755)).expect("an own file");
    let words = ["sets the user", "2"];
    let truth = stage.fork(|| {
        setresuid(id, id, id).expect("CAP_SETUID");
        match exec_at(&path, &words) {}
    });
    (Truth { uid: Some((user, 0)), ..truth }.executes(image(&path, &words))).reap();
    let _ = fs::remove_file(path);
}
