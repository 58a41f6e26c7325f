# A host with a signer's configuration, two custodians with identities of age, an operator and a witness with keys of SSH, and
# two media. What no container has (a device that can be taken out, no network) is an exception of the plan.
set -e
mkdir -p /etc/sbtc-signer /etc/holdfast /root/k
cd /root/k
for who in alice bob; do age-keygen -o $who.txt 2>/dev/null; done
for who in carol dave; do ssh-keygen -q -t ed25519 -N '' -C $who -f $who; done
for who in alice bob; do
    mkdir -p /media/$who
    mount -t tmpfs -o size=1M medium /media/$who
done
umask 077
cat >/etc/sbtc-signer/signer-config.toml <<CONFIG
[signer]
private_key = "$KEY"
network = "mainnet"
bootstrap_signing_set = ["$PUBLIC"]
CONFIG
cat >/etc/holdfast/profile.toml <<PROFILE
[[people]]
name = "carol"
ssh_keys = ["$(cat carol.pub)"]
[[people]]
name = "dave"
ssh_keys = ["$(cat dave.pub)"]
PROFILE
cat >plan.toml <<PLAN
name = "cold"
written = $(date -u +%F)
valid_until = 2099-12-31
next_drill = 2099-12-31
[[key]]
name = "signer"
kind = "sbtc-signer"
from = { toml = "/etc/sbtc-signer/signer-config.toml", key = "signer.private_key" }
public = "$PUBLIC"
[[custodian]]
name = "alice"
recipient = "$(age-keygen -y alice.txt)"
[[custodian]]
name = "bob"
recipient = "$(age-keygen -y bob.txt)"
[operator]
name = "carol"
ssh_key = "$(cat carol.pub)"
[witness]
name = "dave"
ssh_key = "$(cat dave.pub)"
[[medium]]
name = "usb-1"
custodian = "alice"
path = "/media/alice"
bag = "B-1"
[[medium]]
name = "usb-2"
custodian = "bob"
path = "/media/bob"
bag = "B-2"
[[exception]]
check = "network"
reason = "a host of a test has a cable"
[[exception]]
check = "core-dumps"
reason = "the machine's own"
[[exception]]
check = "recipients"
reason = "the profile of a test has no custodians"
[[exception]]
check = "proofs"
reason = "the custodians of a test have no keys of SSH"
[[exception]]
check = "answers"
reason = "a test"
[[exception]]
check = "lasting"
reason = "a host of a test has no devices"
PLAN
cat >answers.toml <<ANSWERS
operator = "carol"
witness = "dave"
clock = "yes"
resume = "yes"
"medium.usb-1" = "yes"
"bag.usb-1.operator" = "B-1"
"bag.usb-1.witness" = "B-1"
"medium.usb-2" = "yes"
"bag.usb-2.operator" = "B-2"
"bag.usb-2.witness" = "B-2"
"signature.operator" = "later"
"signature.witness" = "later"
ANSWERS
cat >sign-plan <<'SIGN'
cd /root/k
ssh-keygen -q -Y sign -n holdfast-plan@v1 -f carol <plan.toml >plan.toml.operator.sig
ssh-keygen -q -Y sign -n holdfast-plan@v1 -f dave <plan.toml >plan.toml.witness.sig
SIGN
sh sign-plan
