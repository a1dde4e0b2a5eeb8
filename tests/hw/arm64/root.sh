#!/bin/sh
# uadx in an arm64 Debian, run by qemu's user emulation: `sh tests/hw/arm64/root.sh FOLDER`, then as test_arm64.py says.
#
# Takes qemu-aarch64-static (Debian's qemu-user-static), apt-get, dpkg-deb, python3 with pip, the network and 1 GB of
# disk; neither root nor binfmt_misc: FOLDER/root/usr/bin/python3 is a script that calls qemu, so that a Python started
# by a Python is emulated as well. UADX_QEMU_CPU is another processor than the Raspberry Pi 4's: cortex-a76 (Pi 5), max.
set -eu
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
qemu=$(command -v qemu-aarch64-static) || { echo "no qemu-aarch64-static: apt-get install qemu-user-static" >&2; exit 4; }
sources=$(cd "$(dirname "$0")/../../.." && pwd)
mkdir -p "$1/apt/lists/partial" "$1/apt/archives/partial" "$1/root"
cd "$1"
folder=$(pwd)
case $folder in *" "*) echo "no folder with a space: scripts in it name their interpreter" >&2; exit 2 ;; esac

: > apt/status
cat > apt/debian.sources <<END
Types: deb
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
cat > apt/apt.conf <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$folder/apt";
Dir::State::status "$folder/apt/status";
Dir::Cache "$folder/apt";
Dir::Etc::sourcelist "$folder/apt/debian.sources";
Dir::Etc::sourceparts "/nowhere";
Dir::Etc::preferencesparts "/nowhere";
END
export APT_CONFIG="$folder/apt/apt.conf"
apt-get -q update
apt-get -q -y --download-only install python3.11 libstdc++6
for package in apt/archives/*.deb; do dpkg-deb -x "$package" root; done

# qemu 7.2 shows the host's, where ONNX Runtime finds no arm64 core and ends with a segmentation fault
mkdir -p root/proc
core=0
while [ $core -lt "$(nproc --all)" ]; do
    printf 'processor\t: %s\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\n' $core
    printf 'CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\n'
    core=$((core + 1))
done > root/proc/cpuinfo

cat > root/usr/bin/python3 <<END
#!/bin/sh
exec $qemu -cpu "\${UADX_QEMU_CPU:-cortex-a72}" -0 "\$0" -L $folder/root $folder/root/usr/bin/python3.11 "\$@"
END
chmod +x root/usr/bin/python3
root/usr/bin/python3 -m venv --clear --without-pip venv
python3 -m pip --python venv/bin/python install "$sources[onnxruntime]"
venv/bin/uadx --version
