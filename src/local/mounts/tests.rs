use super::*;

const MOUNTINFO: &[u8] = b"22 1 0:5 / / rw - ext4 /dev/vda rw
30 22 0:6 / /run/minikube-ish/demo/a rw - tmpfs tmpfs rw
31 30 0:7 / /run/minikube-ish/demo/a/with\\040space rw - tmpfs tmpfs rw
32 22 0:8 / /run/minikube-ish/demonstration rw - tmpfs tmpfs rw
";

#[test]
fn only_mounts_below_the_folder_are_found_and_inner_ones_first() {
    let found = mounts_below(Path::new("/run/minikube-ish/demo"), MOUNTINFO);
    let expected = ["/run/minikube-ish/demo/a/with space", "/run/minikube-ish/demo/a"];
    assert_eq!(found, expected.map(PathBuf::from));
}
