# make try      watch a disposable Debian host being held to the signer profile
# make test     run every test, those on booted hosts included
# make package  build the .deb
.PHONY: try test lint package bench deps clean
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

test: package
	$(CARGO) test --locked --workspace

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

bench: package
	$(CARGO) build --locked -p holdfast-test-host
	tests/bench.sh "$(TARGET)/debug/test-host"

clean:
	$(CARGO) clean
