//! Disposable, really booted Debian hosts.
