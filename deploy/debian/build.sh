#!/usr/bin/env bash
# Builds the Debian package of a binary: build.sh BINARY ARCH VERSION DIRECTORY. SOURCE_DATE_EPOCH dates everything in it, so that the
# same sources give the same bytes. HELPER is the program for this machine, which prints the manual page and the completions.
set -euo pipefail
binary=$1 arch=$2 version=${3#v} out=$4
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
case $version in [0-9]*) ;; *) version=0~$version ;; esac # Debian wants a digit first
version=${version//-/+}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"
put() { install -D -m "$1" "$2" "$root/$3"; }
put 0755 "$binary" usr/bin/sessiongate
put 0644 "$here/../systemd/sessiongate.service" lib/systemd/system/sessiongate.service
put 0644 "$here/../systemd/sessiongate.socket" usr/share/doc/sessiongate/examples/sessiongate.socket
put 0644 "$here/../prometheus/sessiongate.rules.yml" usr/share/doc/sessiongate/examples/sessiongate.rules.yml
put 0644 "$here/../grafana/sessiongate.json" usr/share/doc/sessiongate/examples/grafana.json
put 0644 "$here/sessiongate.yaml" etc/sessiongate/sessiongate.yaml
put 0644 "$here/copyright" usr/share/doc/sessiongate/copyright
put 0644 "$here/../../CHANGELOG.md" usr/share/doc/sessiongate/changelog
gzip -9n "$root/usr/share/doc/sessiongate/changelog"
mkdir -p "$root/usr/share/man/man1" "$root/usr/share/bash-completion/completions" \
	"$root/usr/share/zsh/vendor-completions" "$root/usr/share/fish/vendor_completions.d"
"$HELPER" man | gzip -9n >"$root/usr/share/man/man1/sessiongate.1.gz"
"$HELPER" completion bash >"$root/usr/share/bash-completion/completions/sessiongate"
"$HELPER" completion zsh >"$root/usr/share/zsh/vendor-completions/_sessiongate"
"$HELPER" completion fish >"$root/usr/share/fish/vendor_completions.d/sessiongate.fish"

mkdir -p "$root/DEBIAN"
for script in postinst prerm postrm; do put 0755 "$here/$script" "DEBIAN/$script"; done
echo /etc/sessiongate/sessiongate.yaml >"$root/DEBIAN/conffiles"
size=$(($(find "$root" -type f -printf '%s\n' | paste -sd+) / 1024)) # KiB, of the files alone: directories differ
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" "$here/control" >"$root/DEBIAN/control"
(cd "$root" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums)
chmod -R u=rwX,go=rX "$root"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
dpkg-deb --root-owner-group -Zgzip -z9 --build "$root" "$out/sessiongate_${version}_$arch.deb"
