# make try      watch a disposable Debian host being held to the signer profile
# make test     run the tests, those on booted hosts and in emulated machines included
# make test-vm  only those in emulated machines, which have kernels of their own
# make package  build the .deb
.PHONY: try test test-vm lint package bench deps clean
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

# What apt has to bring; says what to run when it may not.
deps:
	@tests/host/deps.sh

# The program as users get it.
package: deps
	$(CARGO) build --release --locked
	packaging/build-deb.sh

try: package
	$(CARGO) build --locked -p holdfast-test-host
	tests/try.sh "$(TARGET)/debug/test-host"

# Tests on hosts wait most of their time: one more at a time than there are processors keeps those busy.
test: package
	RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$(($$(nproc) + 1))} $(CARGO) test --locked --workspace

test-vm: package
	$(CARGO) test --locked --test hosts -- vm::

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: package
	$(CARGO) build --locked -p holdfast-test-host
	tests/bench.sh "$(TARGET)/debug/test-host"
	tests/bench-logs.sh "$(TARGET)/debug/test-host"
	$(CARGO) build --locked -p holdfast-test-dkg --example signer-sql
	tests/bench-backup.sh "$(TARGET)/debug/test-host" "$(TARGET)/debug/examples/signer-sql"
	# After the package was made: this one leaves in memory what it frees, to be measured beside it.
	$(CARGO) rustc --release --locked --bin holdfast -- --cfg leaves_memory
	mv "$(TARGET)/release/holdfast" "$(TARGET)/release/holdfast-leaves-memory"
	tests/bench-key.sh "$(TARGET)/debug/test-host" "$(TARGET)/release/holdfast-leaves-memory"

clean:
	$(CARGO) clean
