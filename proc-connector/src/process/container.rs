//! Finds the container in a cgroup's path.

/// The id of the innermost container in a cgroup's path. Docker, containerd, CRI-O and Podman name
/// the cgroup after the container's 64 hexadecimal digits, with varying prefixes and suffixes. The
/// container's monitor runs outside the container, in a cgroup named after the same id.
pub(super) fn container_id(cgroup: &[u8]) -> Option<&str> {
    container_ids(cgroup).last()
}

/// The nesting depth of containers: 0 outside of any container.
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "only `proc_fs` calls it"))]
pub(super) fn container_depth(cgroup: &[u8]) -> usize {
    container_ids(cgroup).count()
}

/// The ids of the containers in a cgroup's path, the outermost first.
fn container_ids(cgroup: &[u8]) -> impl Iterator<Item = &str> {
    let mut above: &[u8] = b"";
    cgroup.split(|&byte| byte == b'/').filter_map(move |name| {
        let above = std::mem::replace(&mut above, name);
        // Podman without systemd: the cgroup of a pod, which contains its containers and their
        // monitors.
        id_in_name(name).filter(|id| above != PODMAN_PODS || id.len() != name.len())
    })
}

const PODMAN_PODS: &[u8] = b"libpod_parent";

/// The prefix in the name of a monitor's cgroup: `libpod-conmon-`, `crio-conmon-`.
const MONITOR_PREFIX: &[u8] = b"conmon";

/// The id in the name of a container's cgroup.
fn id_in_name(name: &[u8]) -> Option<&str> {
    const DIGITS: usize = 64;
    let name = name.strip_suffix(b".scope").unwrap_or(name);
    let (words, id) = name.split_at_checked(name.len().checked_sub(DIGITS)?)?;
    let is_id = id.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_monitor = words.split(|byte| b"-:".contains(byte)).any(|word| word == MONITOR_PREFIX);
    let is_apart = words.last().is_none_or(|byte| b"-:".contains(byte));
    if is_id && is_apart && !is_monitor { std::str::from_utf8(id).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{container_depth, container_id};

    fn inner() -> String {
        "4f1c0a9e".repeat(8)
    }

    fn outer() -> String {
        "0badcafe".repeat(8)
    }

    fn found(path: &str) -> Option<&str> {
        container_id(path.as_bytes())
    }

    #[test]
    fn the_container_id_is_found_in_the_cgroups_of_all_runtimes() {
        let (id, other) = (inner(), outer());
        let user = "/user.slice/user-1000.slice/user@1000.service/user.slice";
        for path in [
            // Docker, with both cgroup drivers, and in a custom cgroup parent.
            format!("/docker/{id}"),
            format!("/docker/{id}/init"),
            format!("/docker/{id}/system.slice/cron.service"),
            format!("/system.slice/docker-{id}.scope"),
            format!("/custom.slice/docker-{id}.scope/init.scope"),
            format!("{user}/docker-{id}.scope"),
            format!("/actions_job/{id}"),
            format!("/../../system.slice/docker-{id}.scope"),
            // Podman, with and without systemd, root or rootless, split and in pods.
            format!("/machine.slice/libpod-{id}.scope"),
            format!("/machine.slice/libpod-{id}.scope/container"),
            format!("{user}/libpod-{id}.scope/container"),
            format!("/libpod_parent/libpod-{id}"),
            format!("/libpod_parent/{other}/libpod-{id}"),
            format!("/machine.slice/machine-libpod_pod_{other}.slice/libpod-{id}.scope/container"),
            format!("/system.slice/web.service/libpod-payload-{id}"),
            // containerd and CRI-O below the kubelet, with both cgroup drivers, and nerdctl.
            format!("/kubepods/besteffort/pod1c-2e/{id}"),
            format!("/kubepods/pod1c-2e/{id}"),
            format!("/kubepods/burstable/pod1c-2e/crio-{id}"),
            format!("/kubepods.slice/kubepods-pod1c_2e.slice/cri-containerd-{id}.scope"),
            format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1c_2e.slice/\
                 crio-{id}.scope/container"
            ),
            format!(
                "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/cri-containerd-{id}.scope"
            ),
            format!("/system.slice/kubepods-pod1.slice:cri-containerd:{id}"),
            format!("/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{id}"),
            format!("/system.slice/nerdctl-{id}.scope"),
            format!("/default/{id}"),
            format!("/ecs/0123456789abcdef0123456789abcdef/{id}"),
            // Nested containers: the innermost counts.
            format!("/docker/{other}/docker/{id}"),
            format!("/docker/{other}/system.slice/docker-{id}.scope"),
            format!("/kubepods.slice/cri-containerd-{other}.scope/kubelet/kubepods/pod1/{id}"),
            format!("/system.slice/docker-{other}.scope/kubelet.slice/cri-containerd-{id}.scope"),
            format!("/lxc.payload.web/docker/{id}"),
            format!("/machine.slice/machine-web.scope/payload/system.slice/docker-{id}.scope"),
            format!("/docker/{other}/libpod_parent/libpod-{id}"),
        ] {
            assert_eq!(found(&path), Some(&*id), "{path}");
        }
    }

    #[test]
    fn a_monitor_is_outside_of_its_container() {
        let (id, other) = (inner(), outer());
        for path in [
            format!("/machine.slice/libpod-conmon-{id}.scope"),
            format!(
                "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-{id}.scope"
            ),
            format!("/kubepods.slice/kubepods-pod1.slice/crio-conmon-{id}.scope"),
            format!("/kubepods/besteffort/pod1/crio-conmon-{id}"),
            "/libpod_parent/conmon".to_owned(),
            format!("/libpod_parent/{id}/conmon"),
        ] {
            assert_eq!(found(&path), None, "{path}");
        }
        let path = format!("/docker/{other}/libpod-conmon-{id}.scope");
        assert_eq!(found(&path), Some(&*other), "the container of its runtime");
    }

    #[test]
    fn other_cgroups_have_no_container_id() {
        let id = inner();
        for path in [
            "/",
            "",
            "/user.slice/user-1000.slice/session-2.scope",
            "/system.slice/docker.service",
            "/docker/4f1c0a9e",
            // These runtimes use names instead of ids.
            "/machine.slice/systemd-nspawn@web.service/payload",
            "/machine.slice/machine-web.scope/payload",
            "/lxc/web",
            "/lxc.payload.web/init.scope",
            "/lxc.monitor.web",
            "/lxc.payload/c1",
            &format!("/x/{}g", "a".repeat(63)),
            &format!("/x/{}", id.to_uppercase()),
            &format!("/x/a{id}"),
            &format!("/x/docker-{id}.service"),
            &format!("/x/docker-{id}.mount"),
            &format!("/machine.slice/machine-libpod_pod_{id}.slice"),
            &format!("/libpod_parent/{id}"),
        ] {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn other_path_components_may_contain_any_bytes() {
        let id = inner();
        let path = [b"/\xff\xfe/docker/", id.as_bytes(), b"/\x80"].concat();
        assert_eq!(container_id(&path), Some(&*id));
    }

    #[test]
    fn nested_containers_are_counted() {
        let (id, other) = (inner(), outer());
        assert_eq!(container_depth(b"/system.slice"), 0);
        assert_eq!(container_depth(format!("/docker/{other}/docker/{id}/x").as_bytes()), 2);
        assert_eq!(container_depth(format!("/docker/{other}/libpod-conmon-{id}").as_bytes()), 1);
    }
}
