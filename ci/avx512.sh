#!/usr/bin/env bash
# Runs the tests of the AVX-512 kernel on an emulated machine (Bochs, a Cannon Lake CPU), so that a
# machine without AVX-512 VBMI can prove that kernel too.
#
#   ci/avx512.sh [--emulate] [--self-test]
#
# --emulate: also where this machine has the instructions, and a plain test run covers the kernel.
# --self-test: the emulated machine runs tests that must fail; succeeds if the failure is seen.
# What is missing is installed with apt-get where root runs this; where that cannot be, it skips,
# and fails if HEDGEROW_REQUIRE_EMULATOR=1. HEDGEROW_EMULATOR_SECONDS bounds the run (900).
set -euo pipefail

usage() {
    sed -n '2,11s/^# \{0,1\}//p' "$0"
    exit 2
}
emulate=
self_test=
for option; do
    case $option in
        --emulate) emulate=1 ;;
        --self-test) self_test=1 ;;
        *) usage ;;
    esac
done
limit=${HEDGEROW_EMULATOR_SECONDS:-900}
case $limit in '' | *[!0-9]*) usage ;; esac

skip() {
    echo "*** SKIPPED: the AVX-512 kernel was not run on an emulated machine: $1 ***" >&2
    [ "${HEDGEROW_REQUIRE_EMULATOR:-}" != 1 ]
    exit
}
fail() {
    echo "FAILED: $1" >&2
    exit 1
}

cd "$(dirname "$0")/.."
[ "$(uname -sm)" = "Linux x86_64" ] || skip "it is built on x86-64 Linux only"
if [ -z "$emulate$self_test" ] && grep -qw avx512vbmi /proc/cpuinfo; then
    echo "This machine has AVX-512 VBMI: cargo test --release --test kernels covers the kernel."
    exit 0
fi

packages=(bochs bochs-term bochsbios vgabios isolinux syslinux-common xorriso busybox-static cpio)
installed() {
    for package in "${packages[@]}"; do
        dpkg -s "$package" 2>/dev/null | grep -x 'Status: install ok installed' >/dev/null || return 1
    done
}
command -v apt-get >/dev/null || skip "its parts are Debian's packages: ${packages[*]}"
if ! installed; then
    [ "$(id -u)" = 0 ] || skip "install ${packages[*]}"
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}"; } \
        >/dev/null 2>&1 || skip "apt-get cannot install ${packages[*]}"
fi
# Read to its end: what closes the pipe early makes it fail.
models=$(bochs --help cpu 2>&1 || true)
grep -qx corei3_cnl <<<"$models" || skip "this Bochs emulates no CPU with VBMI"

# The kernel is unpacked, not installed. Debian's for clouds is the smallest.
work=$PWD/target/emulator
mkdir -p "$work"
if [ ! -s "$work/vmlinuz" ]; then
    newest() {
        { apt-cache depends linux-image-cloud-amd64 2>/dev/null || true; } |
            sed -n 's/^ *Depends: *\(linux-image-[0-9].*\)$/\1/p' | sed -n 1p
    }
    image=$(newest)
    # A machine where all the rest was there may never have fetched its lists.
    [ -n "$image" ] || { apt-get update -qq >/dev/null 2>&1 && image=$(newest); } || true
    [ -n "$image" ] || skip "there is no package linux-image-cloud-amd64"
    rm -rf "$work/kernel"
    mkdir -p "$work/kernel"
    (cd "$work/kernel" && apt-get download -qq "$image" && dpkg-deb -x ./*.deb .) \
        >/dev/null 2>&1 || skip "apt-get cannot download $image"
    mv "$work/kernel"/boot/vmlinuz-* "$work/vmlinuz"
    rm -rf "$work/kernel"
fi

echo "building the tests"
# With `--cfg emulated`, because Bochs refuses some of the registers that a gather may have. The
# wrapper gives it to this workspace's crates alone: what they depend on is not built again.
printf '#!/bin/sh\nexec "$@" --cfg emulated\n' >"$work/rustc"
chmod +x "$work/rustc"
built=$(RUSTC_WORKSPACE_WRAPPER=$work/rustc cargo test --release --test kernels --no-run \
    --config profile.release.package.hedgerow.codegen-units=16 2>&1) || fail "$built"
tests=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$built")
[ -x "$tests" ] || fail "no test binary in: $built"

# The file system: the tests, what they link to, and a first process that runs them.
root=$work/root
rm -rf "$root" "$work/iso"
mkdir -p "$root"/{bin,proc,sys,dev} "$work/iso/isolinux"
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$tests" "$root/kernels"
strip "$root/kernels" 2>/dev/null || true
ldd "$tests" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
kernel=avx512
[ -z "$self_test" ] || kernel=none
cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox grep -m1 '^model name' /proc/cpuinfo
/bin/busybox grep -m1 '^flags' /proc/cpuinfo
# A kernel that does not exist: a failure must be seen as one.
HEDGEROW_KERNEL=none /kernels --exact kernels_agree_on_constant_trees >/dev/null 2>&1
echo "== control: status \$?"
HEDGEROW_KERNEL=$kernel /kernels --test-threads=1 --nocapture kernels_agree instructions_with_masks 2>&1
echo "== end: status \$?"
/bin/busybox sleep 1
/bin/busybox poweroff -f
END
chmod +x "$root/init"
# Not compressed: the emulated machine would take longer to unpack it than to read it.
(cd "$root" && find . | cpio --quiet -o -H newc) >"$work/iso/initrd"
cp "$work/vmlinuz" "$work/iso/vmlinuz"
cp /usr/lib/ISOLINUX/isolinux.bin /usr/lib/syslinux/modules/bios/ldlinux.c32 "$work/iso/isolinux/"
# Bochs 2.7 tells no size of the state of protection keys, and Linux 6.1 reads the compacted size
# where it reckons with the standard one; at either it turns AVX off. Both are turned off instead.
cat >"$work/iso/isolinux/isolinux.cfg" <<'END'
default tests
prompt 0
label tests
 kernel /vmlinuz
 append initrd=/initrd console=ttyS0,115200 quiet clearcpuid=pku,ospke,xsavec,xsaves mitigations=off tsc=reliable random.trust_cpu=on audit=0 cryptomgr.notests panic=1
END
xorriso -as mkisofs -quiet -o "$work/disc.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat \
    -no-emul-boot -boot-load-size 4 -boot-info-table "$work/iso" 2>/dev/null || fail "no disc"

cat >"$work/bochsrc" <<END
megs: 512
cpu: model=corei3_cnl, ips=100000000, reset_on_triple_fault=0
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/vgabios/vgabios.bin
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path="$work/disc.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="$work/serial"
clock: sync=none
panic: action=fatal
error: action=ignore
info: action=ignore
log: "$work/log"
display_library: term
speaker: enabled=0
END
# Debian's Bochs has its debugger built in, and waits there for a command.
echo c >"$work/commands"
rm -f "$work/serial"
echo "emulating, $limit s at most"
began=$SECONDS
TERM=vt100 bochs -q -f "$work/bochsrc" -rc "$work/commands" </dev/null >"$work/out" 2>&1 &
bochs=$!
# It ignores SIGTERM.
trap 'kill -KILL $bochs 2>/dev/null || true; wait $bochs 2>/dev/null || true' EXIT
while kill -0 $bochs 2>/dev/null && [ $((SECONDS - began)) -lt "$limit" ]; do
    ! grep -aq '^== end: status\|Kernel panic' "$work/serial" 2>/dev/null || break
    sleep 1
done

[ -s "$work/serial" ] || fail "the emulated machine said nothing; see $work/out"
serial=$(tr -d '\r\0' <"$work/serial")
has() { grep -aq "$1" <<<"$serial"; }
verdict() {
    has '^flags.* avx512vbmi' || { echo "the emulated CPU has no AVX-512 VBMI"; return; }
    has '^== control: status 101$' || { echo "a test that fails was not seen to fail"; return; }
    has '^== end: status ' || { echo "no end after $((SECONDS - began)) s"; return; }
    has '^== end: status 0$' || { echo "the tests failed"; return; }
    has '^test result: ok' || { echo "the tests tell no result"; return; }
    ! has 'SKIPPED' || { echo "the tests skipped a kernel"; return; }
    has 'instructions that differ' || { echo "no instruction was tried"; return; }
    has "agrees: avx512 on" || { echo "no ensemble was scored on avx512"; return; }
}
why=$(verdict)
took="$((SECONDS - began)) s"
if [ -n "$self_test" ]; then
    [ "$why" = "the tests failed" ] || fail "expected failing tests, got: ${why:-success}; $took"
    echo "ok: the failure on the emulated machine is seen as one; $took"
    exit 0
fi
if [ -n "$why" ]; then
    grep -av 'agrees: ' <<<"$serial" | tail -n 60 >&2
    fail "$why; all of it: $work/serial"
fi
grep -a '^model name\|^test result' <<<"$serial"
count=$(grep -ac 'agrees: avx512 on' <<<"$serial")
echo "ok: avx512 agreed on $count ensembles, none skipped; emulated for $took"
