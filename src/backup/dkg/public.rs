//! What a row proves without any key.

use k256::{ProjectivePoint, Scalar};

use super::{
    flaw::Flaw,
    row::Row,
    wire::{Fault, Field, Fields, point, scalar},
};
use crate::backup::curve::PublicKey;

/// A row that is whole as far as public data tell: its public shares come to its aggregate key, and its script is that
/// key's taproot output.
///
/// Only the constant coefficients add up to the key. What is damaged in the others shows when the share is held to them:
/// that takes the private key.
#[derive(Debug)]
pub struct Checked<'a> {
    pub(super) row: &'a Row,
    /// The key of the group.
    pub aggregate_key: PublicKey,
    /// The signers' keys, in ascending order.
    pub signers: Vec<PublicKey>,
    /// How many signers it takes.
    pub threshold: u32,
    /// The coefficients of all signers' polynomials added up: the group's polynomial, public half.
    polynomial: Vec<ProjectivePoint>,
}

impl Row {
    /// Proves what can be proven from public data alone.
    ///
    /// # Errors
    /// With the first flaw that is found.
    pub fn check(&self) -> Result<Checked<'_>, Flaw> {
        let aggregate_key =
            PublicKey::from_bytes(&self.aggregate_key).map_err(Flaw::AggregateKey)?;
        if aggregate_key.taproot_script().is_none_or(|script| script[..] != self.script_pubkey[..])
        {
            return Err(Flaw::Script);
        }
        let signers = self.signers()?;
        let count = signers.len();
        let threshold = u32::try_from(self.signature_share_threshold).ok();
        let fits = |threshold: &u32| (1..=count).contains(&(*threshold as usize));
        let flaw = Flaw::Threshold { threshold: self.signature_share_threshold, signers: count };
        let threshold = threshold.filter(fits).ok_or(flaw)?;

        let shares = public_shares(&self.public_shares, count).map_err(Flaw::PublicShares)?;
        let mut polynomial = vec![ProjectivePoint::IDENTITY; threshold as usize];
        for Share { signer, polynomial: own } in &shares {
            if own.len() != polynomial.len() {
                let threshold = self.signature_share_threshold;
                return Err(Flaw::Degree { signer: *signer, found: own.len(), threshold });
            }
            polynomial.iter_mut().zip(own).for_each(|(sum, each)| *sum += each.point());
        }
        if polynomial.first() != Some(&aggregate_key.point()) {
            return Err(Flaw::Sum);
        }
        Ok(Checked { row: self, aggregate_key, signers, threshold, polynomial })
    }

    fn signers(&self) -> Result<Vec<PublicKey>, Flaw> {
        let keys = self.signer_set_public_keys.iter().enumerate();
        let keys = keys.map(|(at, key)| {
            PublicKey::from_bytes(key).map_err(|fault| Flaw::SignerSet(at, fault))
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.is_sorted_by(|one, next| one < next) { Ok(keys) } else { Err(Flaw::SignerOrder) }
    }
}

impl Checked<'_> {
    /// Which of the signers this one is, from 0 on.
    ///
    /// # Errors
    /// When it is none of them.
    pub fn position(&self, own: PublicKey) -> Result<u32, Flaw> {
        let at = self.signers.binary_search(&own).ok();
        at.and_then(|at| u32::try_from(at).ok()).ok_or(Flaw::NotInSet(own))
    }

    /// The public half of the share with this number: the group's polynomial at it.
    pub(super) fn public_share(&self, key_id: u32) -> ProjectivePoint {
        let at = Scalar::from(key_id);
        let coefficients = self.polynomial.iter().rev();
        coefficients.fold(ProjectivePoint::IDENTITY, |sum, each| sum * at + each)
    }
}

/// What one signer gave to the round.
struct Share {
    signer: u32,
    polynomial: Vec<PublicKey>,
}

/// `crypto.wsts.DkgPublicShares`: a map from a signer to what it gave.
fn public_shares(message: &[u8], signers: usize) -> Result<Vec<Share>, Fault> {
    const NAME: &str = "DkgPublicShares";
    let mut shares: Vec<Share> = Vec::new();
    let mut fields = Fields::of(NAME, message).with_list(1);
    while let Some(field) = fields.next()? {
        let share = match field.number {
            1 => entry(&field)?,
            _ => return Err(field.unknown()),
        };
        // Points are dear: whoever wrote the row must not choose how many are decoded.
        if shares.len() == signers || share.signer as usize >= signers {
            return Err(Fault::Count(NAME, shares.len() + 1));
        }
        if shares.iter().any(|other| other.signer == share.signer) {
            return Err(Fault::Order(NAME, 1));
        }
        shares.push(share);
    }
    if shares.is_empty() { Err(Fault::Count(NAME, 0)) } else { Ok(shares) }
}

/// An entry of the map.
fn entry(field: &Field<'_>) -> Result<Share, Fault> {
    const NAME: &str = "DkgPublicShares.shares";
    let (mut key, mut value) = (0, None);
    let mut fields = Fields::of(NAME, field.bytes()?);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.number32()?,
            2 => value = Some(field.bytes()?),
            _ => return Err(field.unknown()),
        }
    }
    let (signer, polynomial) = signer_shares(value.ok_or(Fault::Missing(NAME, 2))?)?;
    if signer != key {
        return Err(Fault::Disagrees(NAME));
    }
    Ok(Share { signer, polynomial })
}

/// `crypto.wsts.SignerDkgPublicShares`, of which a signer with one party has one commitment.
fn signer_shares(message: &[u8]) -> Result<(u32, Vec<PublicKey>), Fault> {
    const NAME: &str = "SignerDkgPublicShares";
    let (mut signer, mut commitments) = (0, Vec::new());
    let mut fields = Fields::of(NAME, message).with_list(3);
    while let Some(field) = fields.next()? {
        match field.number {
            // Which round it was, by a number that nothing else in the row has.
            1 => _ = field.number64()?,
            2 => signer = field.number32()?,
            3 => commitments.push(field.bytes()?),
            _ => return Err(field.unknown()),
        }
    }
    let [commitment] = commitments[..] else {
        return Err(Fault::Count(NAME, commitments.len()));
    };
    let (party, polynomial) = party_commitment(commitment)?;
    if party != signer {
        return Err(Fault::Disagrees(NAME));
    }
    Ok((signer, polynomial))
}

/// `crypto.wsts.PartyCommitment`.
fn party_commitment(message: &[u8]) -> Result<(u32, Vec<PublicKey>), Fault> {
    const NAME: &str = "PartyCommitment";
    let (mut party, mut commitment) = (0, None);
    let mut fields = Fields::of(NAME, message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => party = field.number32()?,
            2 => commitment = Some(field.bytes()?),
            _ => return Err(field.unknown()),
        }
    }
    let (id, polynomial) = commitment_of(commitment.ok_or(Fault::Missing(NAME, 2))?)?;
    let mut expected = [0; 32];
    expected[28..].copy_from_slice(&party.to_be_bytes());
    if id != expected {
        return Err(Fault::Disagrees(NAME));
    }
    Ok((party, polynomial))
}

/// `crypto.wsts.PolyCommitment`: who, and the points of the polynomial.
fn commitment_of(message: &[u8]) -> Result<([u8; 32], Vec<PublicKey>), Fault> {
    const NAME: &str = "PolyCommitment";
    let (mut id, mut polynomial) = (None, Vec::new());
    let mut fields = Fields::of(NAME, message).with_list(2);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => id = Some(proof_identifier(field.bytes()?)?),
            2 => polynomial.push(point(NAME, field.bytes()?)?),
            _ => return Err(field.unknown()),
        }
    }
    Ok((id.ok_or(Fault::Missing(NAME, 1))?, polynomial))
}

/// `crypto.wsts.ProofIdentifier`: the signer's number. The proof beside it was for the other signers while the round
/// lasted; nobody reads it again, so its form is looked at, and not what it proves.
fn proof_identifier(message: &[u8]) -> Result<[u8; 32], Fault> {
    const NAME: &str = "ProofIdentifier";
    let (mut id, mut response, mut sum) = (None, None, None);
    let mut fields = Fields::of(NAME, message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => id = Some(*scalar(NAME, field.bytes()?)?),
            2 => response = Some(point(NAME, field.bytes()?)?),
            3 => sum = Some(scalar(NAME, field.bytes()?)?),
            _ => return Err(field.unknown()),
        }
    }
    response.ok_or(Fault::Missing(NAME, 2))?;
    sum.ok_or(Fault::Missing(NAME, 3))?;
    id.ok_or(Fault::Missing(NAME, 1))
}
