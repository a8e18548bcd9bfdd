//! Which container a cgroup belongs to.

/// The id of the innermost container in a cgroup's path: Docker, containerd, CRI-O and Podman all
/// name a cgroup by its 64 hexadecimal digits, with their own words around it.
pub(super) fn container_id(cgroup: &str) -> Option<&str> {
    cgroup.rsplit('/').find_map(|folder| {
        let name = folder.strip_suffix(".scope").unwrap_or(folder);
        let id = name.rsplit(['-', ':']).next()?;
        let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_id.then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::container_id;

    #[test]
    fn runtimes_name_their_cgroups_by_the_containers_id() {
        let id = "4f1c0a9e".repeat(8);
        for path in [
            format!("/docker/{id}"),
            format!("/docker/{id}/init"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("/kubepods/besteffort/pod1c-2e/{id}"),
            format!("/kubepods.slice/kubepods-pod1c_2e.slice/cri-containerd-{id}.scope"),
            format!("/kubepods.slice/crio-{id}.scope"),
            format!("/system.slice/kubepods-pod1.slice:cri-containerd:{id}"),
            format!("/docker/{}/docker/{id}", "a".repeat(64)),
        ] {
            assert_eq!(container_id(&path), Some(&*id), "{path}");
        }
    }

    #[test]
    fn other_cgroups_are_no_containers() {
        for path in [
            "/",
            "",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/docker.service",
            "/docker/4f1c0a9e",
            &format!("/x/{}g", "a".repeat(63)),
        ] {
            assert_eq!(container_id(path), None, "{path}");
        }
    }
}
