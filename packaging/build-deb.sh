#!/bin/sh
# Builds target/package/holdfast_VERSION_ARCH.deb from an already built release binary.
# HOLDFAST_PROFILE=debug packages the debug build, for quick turns while developing.
# dpkg-deb is on every Debian; cargo-deb would take longer to install than all of this takes to run.
set -eu
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
arch=$(dpkg --print-architecture)
binary=$target/${HOLDFAST_PROFILE:-release}/holdfast
# The newest glibc symbol that is not weak: what the binary really cannot start without.
glibc=$(objdump -T "$binary" | grep -v ' w ' | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d_ -f2)
# The time of the last commit, so that the same source makes the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH

mkdir -p "$target/package"
stage=$(mktemp -d "$target/package/.stage.XXXXXX")
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
install -D -m 755 "$binary" "$stage/usr/bin/holdfast"
install -d -m 755 "$stage/etc/holdfast" "$stage/DEBIAN"
for file in profiles/*.toml; do install -D -m 644 "$file" "$stage/usr/share/holdfast/$file"; done
install -D -m 644 docs/profile.schema.json "$stage/usr/share/holdfast/profile.schema.json"
for file in systemd/*; do install -D -m 644 "$file" "$stage/usr/lib/systemd/system/${file##*/}"; done
# Not in sysusers.d: installing makes no accounts, and who makes no backups needs none.
install -D -m 644 packaging/accounts.conf "$stage/usr/share/holdfast/accounts.conf"
install -D -m 644 packaging/tmpfiles.conf "$stage/usr/lib/tmpfiles.d/holdfast.conf"
# Links of the package's own: they enable nothing that a person would have to, and run only where a transaction is kept.
for link in sysinit.target.wants/holdfast-early.service multi-user.target.wants/holdfast-recover.service; do
    install -d -m 755 "$stage/usr/lib/systemd/system/${link%/*}"
    ln -s "../${link##*/}" "$stage/usr/lib/systemd/system/$link"
done
for file in README.md docs/profile.md docs/pull.md packaging/debian/copyright; do
    install -D -m 644 "$file" "$stage/usr/share/doc/holdfast/${file##*/}"
done
# What the command line says of itself.
for page in $("$binary" util man); do
    install -d -m 755 "$stage/usr/share/man/man8"
    "$binary" util man "$page" | gzip -9n >"$stage/usr/share/man/man8/$page.8.gz"
done
install -d -m 755 "$stage/usr/share/bash-completion/completions" "$stage/usr/share/zsh/vendor-completions"
"$binary" util completion bash >"$stage/usr/share/bash-completion/completions/holdfast"
"$binary" util completion zsh >"$stage/usr/share/zsh/vendor-completions/_holdfast"
gzip -9n <CHANGELOG.md >"$stage/usr/share/doc/holdfast/changelog.gz"
size=$(du -ks --exclude=DEBIAN "$stage" | cut -f1)
sed -e "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@GLIBC@/$glibc/; s/@SIZE@/$size/" \
    packaging/debian/control >"$stage/DEBIAN/control"
for script in postinst prerm postrm; do
    install -m 755 "packaging/debian/$script" "$stage/DEBIAN/$script"
done
deb=$target/package/holdfast_${version}_$arch.deb
# A debug build is ten times as large, and nobody keeps its package.
packing=-Zxz
[ "${HOLDFAST_PROFILE:-release}" != debug ] || packing="-Zgzip -z1"
# shellcheck disable=SC2086 # two words
dpkg-deb --root-owner-group $packing --build "$stage" "$deb.new" >/dev/null
mv "$deb.new" "$deb"
echo "$deb"
