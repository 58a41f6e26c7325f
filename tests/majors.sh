#!/bin/sh
# A backup and a drill of a server of each major version of PostgreSQL that is given, on a booted host beside Debian's own:
# what `make test` cannot show, because Debian has one version a release. Then Debian's own, with all of their clients there.
# $1: the test-host program; $2: signer-sql of holdfast-test-dkg; the rest: folders of PostgreSQL, each with bin/, lib/ and
# share/ of a build that can be moved.
set -eu
test_host=$1 signer_sql=$2
shift 2
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
