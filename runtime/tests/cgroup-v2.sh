#!/bin/sh
# The container tests once more on a kernel with cgroup v2 only: user-mode-linux, with this machine's root as its own.
# Needs Debian's `user-mode-linux`, python3 (to load the overlay module) and root. Usage: cgroup-v2.sh TEST-BINARY [FILTER…]
set -eu

binary=$1
shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$binary" "$folder/containers"

cat > "$folder/init" <<INIT
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/tmp RUST_BACKTRACE=0
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /mnt
cp $folder/containers /mnt/
mount -t tmpfs tmpfs /tmp
mkdir -p /dev/pts
mount -t devpts devpts /dev/pts
module=\$(ls /usr/lib/uml/modules/*/kernel/fs/overlayfs/overlay.ko)
python3 -c "import ctypes, os; ctypes.CDLL(None).syscall(313, os.open('\$module', 0), b'', 0)"
ip link set lo up
/mnt/containers $*
echo "exit code \$?"
halt -f
INIT
chmod +x "$folder/init"

timeout 900 linux.uml mem=1G rootfstype=hostfs rootflags=/ rw init="$folder/init" con=null con0=fd:0,fd:1 quiet \
    < /dev/null | tee "$folder/log"
grep -q '^exit code 0' "$folder/log"
